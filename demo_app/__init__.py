"""A small gateway with token counting built in, to try and to copy: `python -m demo_app`."""
