"""Tasks about swapping two variables, and about what follows `while True`."""

from sparsetx.tasks.task import Task, pools

# In pairs with a distractor, an earlier swap and copy make both names equally frequent,
# in the same tokens: neither counts nor the latest name give the answer.
VAR_SWAP = Task(
    name="var_swap",
    asks="Complete a swap of two variables with the right one.",
    contrast="`a, b = b,` → ` a` | `b, a = a,` → ` b`",
    excludes="the latest or rarer name: an earlier swap and copy make both names equal",
    construct=(r"\b(\w+), (\w+) = \2, \1\b",) * 2,
    templates=pools(
        train="""
<n1> = <k1>
<n2> = <k2>
<fill0-3>
+«<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
+<n3> = «<n1>|<n2>»
«<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
def <f1>(<n1>, <n2>):
    <fill0-3>
+    «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
+    <n3> = «<n1>|<n2>»
    «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
def <f1>(<n2>, <n1>):
+    «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
    <fill0-3>
+    <n3> = «<n1>|<n2>»
    if <n1> > <n2>:
        «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
<n1> = <k1>
<n2> = <k2>
<fill0-3>
if <n2> > <n1>:
+    <n3> = «<n1>|<n2>»
+    «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
    «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
def <f1>(<n4>, <n1>, <n2>):
+    <n3> = «<n1>|<n2>»
    while <n4>:
+        «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
        <fill0-3>
        «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
""",
        val="""
def <f1>(<n4>, <n1>, <n2>):
    <n5> = <n4> * <k1>
+    <n3> = <n5> * «<n1>|<n2>»
+    «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
    <fill0-3>
    «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
<n1> = <k1> * <k2>
<n2> = <k3> * <k4>
<fill0-3>
+«<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
+<n3> = <k1> * «<n1>|<n2>»
«<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
""",
        test="""
<n1> = <k1> + <k2>
<n2> = <k3> + <k4>
+«<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
<fill0-3>
+<n3> = <k1> + «<n1>|<n2>»
«<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
def <f1>(<n4>, <n2>, <n1>):
    <n5> = <n4> + <k1>
    <fill0-3>
+    <n3> = <n5> + «<n1>|<n2>»
+    «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
    «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
---
def <f1>(<n4>, <n1>, <n2>):
    for <n5> in range(<n4>):
+        «<n2>, <n1> = <n1>, <n2>|<n1>, <n2> = <n2>, <n1>»
+        <n3> = <n5> + «<n1>|<n2>»
        <fill0-3>
        «<n1>, <n2> = <n2>,|<n2>, <n1> = <n1>,»^« <n1>| <n2>»^
""",
    ),
)

WHILE_RETURN_TRUE = Task(
    name="while_return_true",
    asks="End a while line with a colon, a return with the line.",
    contrast="`    while True` → `:` | `    return True` → the line's end",
    excludes="the bigram from True; an earlier function has the other form",
    construct=(r"^ +while True:\n", r"^ +return True\n"),
    templates=pools(
        train="""
+def <f2>(<n3>):
+    «print(<n3>)↵    return True|while True:↵        print(<n3>)»
+
def <f1>(<n1>):
    <fill0-3>
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
---
+def <f2>(<n3>):
+    if <n3>:
+        «print(<n3>)↵        return True|while True:↵            print(<n3>)»
+    print(<k3>)
+
<n1> = <k1>
<fill0-3>

def <f1>():
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
---
def <f1>(<n1>, <n2>):
+    if <n2>:
+        «print(<n1>)↵        return True|while True:↵            print(<n1>)»
    <fill0-3>
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
---
def <f1>(<n1>):
    if <n1> > <k1>:
+        if <n1>:
+            «print(<n1>)↵            return True|\
while True:↵                print(<n1>)»
        <fill0-3>
        «while|return» True^«:↵|↵»^«            print(<n1>)|»
---
+def <f2>(<n2>):
+    for <n3> in <n2>:
+        «print(<n3>)↵        return True|while True:↵            print(<n3>)»
+
def <f1>(<n1>):
    print(<n1>)
    <fill0-3>
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n3> = <n1> * <n2>
+    if <n3>:
+        «print(<n3> - <k1>)↵        return True|\
while True:↵            print(<n3> - <k1>)»
    <fill0-3>
    «while|return» True^«:↵|↵»^«        print(<n3>)|»
---
+def <f2>(<n3>):
+    print(<n3> - <k1>)
+    «print(<n3>)↵    return True|while True:↵        print(<n3>)»
+
def <f1>(<n1>):
    <fill0-3>
    print(<n1> * <k2>)
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
""",
        test="""
+def <f2>(<n3>):
+    <n4> = <n3> + <k1>
+    «print(<n4>)↵    return True|while True:↵        print(<n4>)»
+
def <f1>(<n1>, <n2>):
    <fill0-3>
    <n2> = <n1> * <k2>
    «while|return» True^«:↵|↵»^«        print(<n2>)|»
---
def <f1>(<n1>, <n2>):
    <n3> = <n1> + <n2>
    <fill0-3>
+    if <n3> == <k1>:
+        «print(<n1>)↵        return True|while True:↵            print(<n1>)»
    «while|return» True^«:↵|↵»^«        print(<n3>)|»
---
<n4> = <k1> + <k2>
<fill0-3>

def <f1>(<n1>):
+    while <n1>:
+        «print(<n1> + <k1>)↵        return True|\
while True:↵            print(<n1> + <k1>)»
    print(<n1> + <n4>)
    «while|return» True^«:↵|↵»^«        print(<n1>)|»
""",
    ),
)
