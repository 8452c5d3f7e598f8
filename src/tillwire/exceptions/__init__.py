"""Business exceptions: what could not be processed, visible with its raw bytes, and retried once the cause is mended."""
