"""The flags of this process. A starter may set credentials here before `launch_utils.start()`."""

import os
import sys

from modules import cmd_args

if os.environ.get("COMMANDLINE_ARGS"):
    import shlex

    sys.argv += shlex.split(os.environ["COMMANDLINE_ARGS"])

cmd_opts = cmd_args.parser.parse_args()
