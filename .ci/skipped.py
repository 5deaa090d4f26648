"""Fails if some test was skipped in every one of the JUnit reports given: such a test tests nothing."""

import sys
from xml.etree import ElementTree

skipped: dict[str, bool] = {}
for path in sys.argv[1:]:
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped[name] = skipped.get(name, True) and case.find("skipped") is not None
everywhere = sorted(name for name, always in skipped.items() if always)
print(f"{len(skipped)} tests in {len(sys.argv) - 1} reports, {len(everywhere)} skipped in all of them")
sys.exit("\n".join(everywhere) or None)
