"""The engine as others on this machine reach it. For now: the control socket."""
