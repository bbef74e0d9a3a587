"""The rules of security, pure: no input or output, no clock, no logging, no asyncio."""
