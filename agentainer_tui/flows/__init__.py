"""What a person asks for, from the question to the engine. Each flow is started with `app.command(…)`."""
