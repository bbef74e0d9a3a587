"""The SDK: the local API of a node for programs in Python, asynchronous or not."""
