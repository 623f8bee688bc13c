# Prepares the VM by one module after the other, then runs a program as start.py does: `steps.py STEP,STEP PROGRAM ..`
import sys

for step in sys.argv.pop(1).split(","):
    __import__(step)
    del sys.modules[step]
del step
__import__(sys.argv.pop(1))
