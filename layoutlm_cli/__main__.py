"""`python -m layoutlm_cli`, for where the script is not on the path."""

from layoutlm_cli.main import main

main()
