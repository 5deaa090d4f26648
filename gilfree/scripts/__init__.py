"""Child scripts side by side: many `python child.py ...` at once, and nothing of them left behind.

>>> from gilfree import scripts
>>> results = scripts.run([["child.py", "a"], ["child.py", "b"]])
>>> [(result.returncode, result.stdout) for result in results]
[(0, 'done with a\\n'), (0, 'done with b\\n')]
"""

from gilfree.scripts.commands import Command, Script, template
from gilfree.scripts.launcher import iter, run
from gilfree.scripts.results import ScriptResult

__all__ = ["Command", "Script", "ScriptResult", "iter", "run", "template"]
