"""WebSocket client libraries behind the Connection port."""
