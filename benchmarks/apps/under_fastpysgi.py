"""Start FastPySGI, whose own command line has no option for workers.

python -m benchmarks.apps.under_fastpysgi MODULE PORT WORKERS
"""

import importlib
import sys

import fastpysgi

if __name__ == "__main__":
    module, port, workers = sys.argv[1:]
    app = importlib.import_module(module).app
    fastpysgi.run(app, host="127.0.0.1", port=int(port), workers=int(workers))
