"""Models of tvu for other programs: an HTTP server in OpenAI's form, and an MCP server on standard input and output."""
