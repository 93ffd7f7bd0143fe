"""The reproducible evaluation of the NHS new care model vanguards.

Published files → panel → estimates → documents. ``python -m analysis`` runs the whole of it.
"""

import os

# One thread per process: sums in another order would change the last digits, and so the bytes, of a result.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
