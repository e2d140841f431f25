"""One module a command: `configure` adds its arguments, its functions run it."""
