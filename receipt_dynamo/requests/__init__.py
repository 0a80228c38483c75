"""Builders of every call's arguments as plain data; nothing here knows a client."""
