"""`python -m agentainer_tui` is `agentainer`."""

from agentainer_tui.cli import main

raise SystemExit(main())
