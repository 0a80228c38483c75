"""The commands, one module each; `layoutlm_cli.main` imports a module when its command is chosen."""
