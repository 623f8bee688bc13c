# Freezes the core and mote into a firmware image: make BOARD=... FROZEN_MANIFEST=.../micropython/manifest.py
package("agent", base_path="..", opt=2)  # noqa: F821
package("mote", opt=2)  # noqa: F821
