"""The command line."""

ADAPTER_HELP = "An adapter's name or folder, or none.  [default: judge for the default model in this process]"
