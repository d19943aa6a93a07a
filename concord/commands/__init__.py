"""What the `concord` command does, one file a subcommand: imported only when it is called."""
