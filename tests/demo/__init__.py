"""The main job, shown: `make demo` prints it, tests/test_demo.py asserts it."""
