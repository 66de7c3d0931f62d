"""Tasks about what a name is bound to: a set, which is added to, or a string.

The distractor binds another name to the other type, and the two prompts exchange the
types: both contain exactly the same tokens, so that no bag of tokens decides.
"""

from sparsetx.tasks.task import Task, pools

SET_OR_STRING = Task(
    name="set_or_string",
    asks="Use a variable as the set, or the string, that it was bound to.",
    contrast='`v = set() … v` → `.add` | `v = "" … v` → ` +=`',
    excludes='"a set() exists": a second name is bound to the other type',
    construct=(
        r"\b(\w+) = set\(\)\n(?:.*\n){0,8} *\1\.add\(",
        r'\b(\w+) = ""\n(?:.*\n){0,8} *\1 \+=',
    ),
    templates=pools(
        train="""
def <f1>(<n3>):
    <n1> = «set()|""»
+    <n2> = «""|set()»
    <fill0-4>
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n3>):
+    <n2> = «""|set()»
    <n1> = «set()|""»
    <fill0-4>
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
<n3> = input()
<n1> = «set()|""»
+<n2> = «""|set()»
<fill0-4>
-<n9> = «|not »<n3>
<n1>^«.add| +=»^«(<n3>)| <n3>»
---
<fill0-3>
+<n2> = «""|set()»
<n1> = «set()|""»
for <n3> in input():
    <fill0-2>
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n3>, <n4>):
    <fill0-3>
    <n1> = «set()|""»
+    <n2> = «""|set()»
    if <n4>:
-        <n9> = «|not »<n3>
        <n1>^«.add| +=»^«(<n3>)| <n3>»
""",
        val="""
def <f1>(<n3>, <n4>):
    print(<n4>)
+    <n2> = «""|set()»
    <n1> = «set()|""»
    <fill0-4>
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
<n1> = «set()|""»
+<n2> = «""|set()»
<fill0-4>
while True:
    <n3> = input()
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
""",
        test="""
def <f1>(<n3>, <n4>):
    <n1> = «set()|""»
+    <n2> = «""|set()»
    <fill0-3>
    <n5> = len(<n4>)
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
<n4> = input()
+<n2> = «""|set()»
<n1> = «set()|""»
<fill0-3>
for <n3> in <n4>:
-    <n9> = «|not »<n3>
    <n1>^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n4>):
    <fill0-3>
    <n1> = «set()|""»
+    <n2> = «""|set()»
    for <n3> in <n4>:
        print(<n3>)
-        <n9> = «|not »<n3>
        <n1>^«.add| +=»^«(<n3>)| <n3>»
""",
    ),
)

SET_OR_STRING_FIXEDVARNAME = Task(
    name="set_or_string_fixedvarname",
    asks="Use `current` as the set, or the string, that it was bound to.",
    contrast='`current = set() … current` → `.add` | `current = "" … current` → ` +=`',
    excludes="distance: the same lines between; the other type is returned elsewhere",
    construct=(
        r"\bcurrent = set\(\)\n(?:.*\n){0,8} *current\.add\(",
        r'\bcurrent = ""\n(?:.*\n){0,8} *current \+=',
    ),
    templates=pools(
        train="""
+def <f2>(<n7>):
+    <n7>.<n6> = «""|set()»
+    return <n7>
+
<n3> = input()
current = «set()|""»
<fill1-5>
-<n9> = «|not »<n3>
current^«.add| +=»^«(<n3>)| <n3>»
---
+def <f2>(<n7>):
+    <n7>.<n6> = «""|set()»
+    return <n7>
+
def <f1>(<n3>):
    current = «set()|""»
    <fill1-5>
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n3>, <n4>):
+    <n4>["<w1>"] = «""|set()»
    current = «set()|""»
    <fill1-5>
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n3>, <n4>):
    current = «set()|""»
    <fill1-4>
+    <n4>["<w1>"] = «""|set()»
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
---
-<n4> = <k1>
+def <f2>(<n7>):
+    <n7>.<n6> = «""|set()»
+    return <n7>
+
current = «set()|""»
<fill1-5>
for <n3> in input():
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
""",
        val="""
def <f1>(<n3>, <n4>):
    <n5> = len(<n3>)
+    <n4>["<w1>"] = «""|set()»
    current = «set()|""»
    <fill1-5>
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
---
+def <f2>(<n7>):
+    <n7>.<n6> = «""|set()»
+    return <n7>
+
def <f1>(<n5>):
    current = «set()|""»
    <fill1-4>
    for <n3> in <n5>:
-        <n9> = «|not »<n3>
        current^«.add| +=»^«(<n3>)| <n3>»
""",
        test="""
def <f1>(<n3>, <n4>, <n5>):
+    <n4>.<n6> = «""|set()»
    current = «set()|""»
    <fill0-5>
    print(<n5>)
-    <n9> = «|not »<n3>
    current^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n4>, <n5>):
    current = «set()|""»
+    <n4>["<w1>"] = «""|set()»
    <fill1-4>
    for <n3> in <n5>:
-        <n9> = «|not »<n3>
        current^«.add| +=»^«(<n3>)| <n3>»
---
def <f1>(<n4>, <n5>):
    <n3> = list(<n5>)
+    <n4>["<w1>"] = «""|set()»
    current = «set()|""»
    <fill1-5>
-    <n9> = «|not »<n5>
    current^«.add| +=»^«(<n5>)| <n5>»
""",
    ),
)
