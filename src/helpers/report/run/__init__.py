"""From checked plans to published reports: kernels, the engine that tells the truth, one run and many."""

import sys

# jsonschema, which notebooks are checked with, would compile a grammar of internationalised addresses as it loads.
# That takes more than a second and is for the format "iri" alone, which no schema of notebooks asks for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
