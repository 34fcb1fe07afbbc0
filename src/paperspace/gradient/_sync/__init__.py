"""Run the asynchronous functions from synchronous code, on one event loop thread for each process."""
