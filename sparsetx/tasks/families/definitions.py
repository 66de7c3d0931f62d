"""Tasks about definitions: attributes in a constructor, keyword defaults, lambda."""

from sparsetx.tasks.task import Task, pools

CLASS_INIT = Task(
    name="class_init",
    asks="Set the attribute that is still missing, from the parameter of its name.",
    contrast="`self.a = a … self.b =` → ` b` | `self.b = b … self.a =` → ` a`",
    excludes="parameter order (equal in both) and the name not used yet: both are used",
    construct=(r"self\.(\w+) = \1\n( +self\..*\n)* +self\.(\w+) = \3\b",) * 2,
    templates=pools(
        train="""
class <c1>:
    def __init__(self, <n1>, <n2>):
+        self.<n3> = «<n2>|<n1>»
        self.«<n1> = <n1>|<n2> = <n2>»
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
class <c1>:
    def __init__(self, <n1>, <n2>):
        self.<n4> = <k1>
        self.«<n1> = <n1>|<n2> = <n2>»
+        self.<n3> = «<n2>|<n1>»
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
<fill1-2>

class <c1>:
    def __init__(self, <n1>, <n2>):
        self.«<n1> = <n1>|<n2> = <n2>»
+        self.<n3> = «<n2>|<n1>»
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
class <c1>:
    def __init__(self, <n1>, <n2>, <n4>):
+        self.<n3> = «<n2>|<n1>»
        self.«<n1> = <n1>|<n2> = <n2>»
        self.<n4> = <n4>
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
class <c1>:
    <n5> = <k1>

    def __init__(self, <n4>, <n1>, <n2>):
        self.<n4> = <n4>
        self.«<n1> = <n1>|<n2> = <n2>»
+        self.<n3> = «<n2>|<n1>»
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
""",
        val="""
class <c1>:
    def __init__(self, <n1>, <n4>, <n2>):
+        self.<n3> = «<n2>|<n1>»
        self.«<n1> = <n1>|<n2> = <n2>»
        self.<n4> = <n4> * <k1>
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
class <c1>:
    def __init__(self, <n1>, <n2>):
        <fill0-2>
        self.«<n1> = <n1>|<n2> = <n2>»
+        self.<n3> = «<n2>|<n1>»
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
""",
        test="""
class <c1>:
    def __init__(self, <n1>, <n2>):
        self.«<n1> = <n1>|<n2> = <n2>»
        self.<n4> = <k1> + <k2>
+        self.<n3> = «<n2>|<n1>» + <k3>
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
<fill1-2>

class <c1>:
    def __init__(self, <n4>, <n1>, <n2>):
+        self.<n3> = «<n2>|<n1>»
        self.«<n1> = <n1>|<n2> = <n2>»
        self.<n4> = <n4> + <k1>
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
---
class <c1>:
    def __init__(self, <n1>, <n2>):
        <fill0-2>
+        self.<n3> = «<n2>|<n1>»
        self.«<n1> = <n1>|<n2> = <n2>»
        self.<n4> = <k1>
        self.«<n2>|<n1>» =^« <n2>| <n1>»^
""",
    ),
)

# The earlier definition has one parameter fewer, so that both prompts of a pair with a
# distractor hold the same number of defaults: exactly the same tokens.
FINAL_KWARG = Task(
    name="final_kwarg",
    asks="Give the last parameter a default if the others have one.",
    contrast="`def f(a=None, b=None, c` → `=None` | `def f(a, b, c` → `):`",
    excludes="arity and names, which are equal; an earlier def has the other style",
    construct=(
        r"def \w+\(\w+=None(, \w+=None)+\):\n",
        r"def \w+\(\w+(, \w+){1,3}\):\n",
    ),
    templates=pools(
        train="""
+def <f2>(<n5>«|=None»):
+    return <n5>
+
-<n6> = <k1>
-<n7> = «|not »<n6>
<fill0-3>
def <f1>(<n1>«=None|», <n2>^«=None|):↵»^«):↵|»    return <n1>
---
+def <f2>(<n5>«|=None», <n6>«|=None»):
+    print(<n5>)
+
-def <f2>(<n5>«|, <n7>»):
-    return <n5>
-
def <f1>(<n1>«=None|», <n2>«=None|», <n3>^«=None|):↵»^«):↵|»    return <n1>
---
<fill0-3>
+def <f2>(<n5>«|=None», <n6>«|=None», <n7>«|=None»):
+    print(<n5>, <n6>)
+
-def <f2>(<n5>«|, <n7>»):
-    return «|not »<n5>
-
def <f1>(<n1>«=None|», <n2>«=None|», <n3>«=None|», <n4>^«=None|):↵»^\
«):↵|»    print(<n1>)
---
+def <f2>(<n5>«|=None», <n6>«|=None»):
+    return <n6>
+
def <f3>(<n8>, <n9>=None):
-    return <n9>«| + <n8>»
+    print(<n8>, <n9>)

def <f1>(<n1>«=None|», <n2>«=None|», <n3>^«=None|):↵»^«):↵|»    return <n2>
---
<n5> = <k1>
<fill0-3>

+def <f2>(<n6>«|=None»):
+    print(<n6>)
+
-def <f2>(<n6>):
-    print(«|not »<n6>)
-
def <f1>(<n1>«=None|», <n2>^«=None|):↵»^«):↵|»    print(<n2>)
""",
        val="""
<n9> = <k1> * <k2>

+def <f2>(<n5>«|=None», <n6>«|=None»):
+    return <n5> - <n6>
+
-def <f2>(<n5>«|, <n6>»):
-    return <n5> * <k3>
-
def <f1>(<n1>«=None|», <n2>«=None|», <n3>^«=None|):↵»^«):↵|»    return <n3>
---
<fill1-3>

+def <f2>(<n5>«|=None»):
+    return <n5> - <k3>
+
-def <f2>(<n5>):
-    return «|not »<n5>
-
def <f1>(<n1>«=None|», <n2>^«=None|):↵»^«):↵|»    return <n1>
""",
        test="""
<fill1-3>

+def <f2>(<n5>«|=None», <n6>«|=None»):
+    return <n5> + <n6>
+
-def <f2>(<n5>«|, <n6>»):
-    return <n5> * <k3>
-
def <f1>(<n1>«=None|», <n2>«=None|», <n3>^«=None|):↵»^«):↵|»    return <n1>
---
+def <f2>(<n5>«|=None»):
+    return <n5> * <k3>
+
-def <f2>(<n5>):
-    return «|not »<n5>
-
<fill1-3>

def <f1>(<n1>«=None|», <n2>^«=None|):↵»^«):↵|»    return <n2>
---
+def <f2>(<n5>«|=None», <n6>«|=None», <n7>«|=None»):
+    return <n7> * <k3>
+
-def <f2>(<n5>«|, <n6>»):
-    return «|not »<n5>
-
<n9> = <k1> - <k2>

def <f1>(<n1>«=None|», <n2>«=None|», <n3>«=None|», <n4>^«=None|):↵»^\
«):↵|»    return <n4>
""",
    ),
)

LAMBDA_FUNC = Task(
    name="lambda_func",
    asks="After the name, continue as in a lambda, or as in a def.",
    contrast="`    x = lambda v` → `:` | `    def v` → `():`",
    excludes="the bigram from v, a variable elsewhere; the other form comes before",
    construct=(r"^ +\w+ = lambda \w+: ", r"^ +def \w+\(\):\n"),
    templates=pools(
        train="""
def <f1>(<n3>):
+    <n1> = <n3>
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n5> + <n3>»
    <fill0-4>
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> + <k1>|        return <k1>»
---
def <f1>(<n1>):
    print(<n1>)
+    «def <n4>():↵        return <n1>|<n4> = lambda <n5>: <n1> + <n5>»
    <fill0-4>
-    <n7> = <n1>«| + <n1>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> * <k1>|        return <k1>»
---
<n1> = <k2>
<fill0-2>

def <f1>(<n3>):
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n3> + <n5>»
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> + <n3>|        return <n3>»
---
<n3> = <k2>
if <n3>:
    <n1> = <n3>
+    «def <n4>():↵        print(<n3>)|<n4> = lambda <n5>: <n5> + <n3>»
    <fill0-3>
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1>|        return <k1>»
---
def <f1>(<n3>, <n4>):
    <fill0-3>
    <n1> = <n3>
+    «def <n6>():↵        print(<n4>)|<n6> = lambda <n5>: <n5> + <n3>»
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> + <n3>|        return <n4>»
""",
        val="""
def <f1>(<n3>):
    <n1> = <n3> * <k3>
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n5> - <n3>»
    <fill0-4>
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> - <k1>|        return <k1>»
---
<n1> = <k2> * <k3>

def <f1>(<n3>, <n4>):
    <fill0-3>
+    «def <n6>():↵        return <n3>|<n6> = lambda <n5>: <n5> - <n3>»
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> - <n3>|        return <n3>»
""",
        test="""
def <f1>(<n3>):
    <n1> = <n3> + <k3>
    <fill0-4>
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n3> * <n5>»
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> + <k1>|        return <k1>»
---
def <f1>(<n1>, <n3>):
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n5> * <n3>»
    <n6> = <n1> + <k3>
    <fill0-3>
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> * <k1>|        return <n6>»
---
<n1> = <k2> + <k3>
<fill0-2>

def <f1>(<n3>):
+    «def <n4>():↵        return <n3>|<n4> = lambda <n5>: <n3> * <n5>»
-    <n7> = <n3>«| + <n3>»
    «<n2> = lambda|def» <n1>^«:|():↵»^« <n1> + <n3>|        return <n3>»
""",
    ),
)
