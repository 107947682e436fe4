"""The command line."""

ADAPTER_HELP = (
    "An adapter's name or folder, or none.  [default: the newest joint that ships, for the default model in this "
    "process; not one made here]"
)
