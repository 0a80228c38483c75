"""What an AI assistant sees: an MCP server, and a folder of files about the account."""
