"""Business exceptions: what could not be processed, with its raw bytes, and retried once the cause is mended."""
