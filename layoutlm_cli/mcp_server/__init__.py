"""The interface for AI assistants: an MCP server, and a folder of files about the account."""
