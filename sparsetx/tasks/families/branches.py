"""Tasks about conditions: elif or else, if or ternary, `==` or `=`, end of line."""

from sparsetx.tasks.task import Task, pools

ELSE_ELIF = Task(
    name="else_elif",
    asks="Put a colon straight after else, but not after elif.",
    contrast="`… elif` → anything but `:` | `… else` → `:`",
    excludes="nothing: a bigram decides it, so shortcut tests and means leave it out",
    construct=(r"^ *elif .*:\n", r"^ *else:\n"),
    one_token=True,
    aligned=False,
    templates=pools(
        train="""
<n1> = <k1>
+if <n1> > <k4>:
+    print(<n1>)
+«else|elif <n1>»:
+    <n1> = <k5>
<fill0-2>
if <n1>:
    <n2> = <k2>
«elif|else»^«|:↵»^« <n1> == <k3>:↵    <n2> = <k2>|    <n2> = <k3>»
---
def <f1>(<n1>):
    <fill0-2>
+    if <n1> == <k4>:
+        print(<n1>)
+    «else|elif <n1>»:
+        print(<k5>)
    if <n1> > <k2>:
        return <n1>
    «elif|else»^«|:↵»^« <n1>:↵        return <k3>|        return <k3>»
---
def <f1>(<n1>, <n2>):
+    if <n1>:
+        <n2> = <k4>
+    «else|elif <n2>»:
+        <n1> = <k5>
    <fill0-2>
    if <n1> < <n2>:
        print(<n1>)
    «elif|else»^«|:↵»^« <n2>:↵        print(<n2>)|        print(<n2>)»
---
for <n1> in range(<k1>):
    <fill0-2>
+    if <n1> == <k4>:
+        print(<k4>)
+    «else|elif <n1> == <k5>»:
+        print(<n1>)
    if <n1>:
        <n2> = <n1>
    «elif|else»^«|:↵»^« <n1> > <k3>:↵        <n2> = <k2>|        <n2> = <k3>»
---
<n1> = input()
<fill0-2>
+if <n1>:
+    <n3> = <k3>
+«else|elif <n1>»:
+    <n3> = <k4>
if len(<n1>) > <k1>:
    <n2> = <k2>
«elif|else»^«|:↵»^« <n1>:↵    <n2> = <k2>|    <n2> = <k3>»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n3> = <n1> * <n2>
+    if <n1>:
+        <n3> = <n3> - <k4>
+    «else|elif <n2>»:
+        <n3> = <n1> - <k5>
    <fill0-2>
    if <n3>:
        print(<n1> - <k2>)
    «elif|else»^«|:↵»^« <n2>:↵        print(<n2>)|        print(<n2>)»
---
<n1> = len(input()) * <k3>
<fill0-2>
+if <n1> == <k4>:
+    print(<n1> - <k3>)
+«else|elif <n1>»:
+    print(<n1>)
if <n1> > <k5>:
    <n2> = <n1> - <k2>
«elif|else»^«|:↵»^« <n1>:↵    <n2> = <k2>|    <n2> = <k3>»
""",
        test="""
<n1> = len(input()) + <k3>
+if <n1> > <k4>:
+    <n1> = <n1> + <k2>
+«else|elif <n1>»:
+    print(<n1>)
<fill0-2>
if <n1> < <k5>:
    <n2> = <n1> * <k2>
«elif|else»^«|:↵»^« <n1>:↵    <n2> = <k2>|    <n2> = <k3>»
---
def <f1>(<n1>, <n2>, <n3>):
    <fill0-2>
+    if <n1>:
+        print(<n2>)
+    «else|elif <n3>»:
+        print(<n1> + <n2>)
    if <n1> > <n3>:
        return <n2> + <n3>
    «elif|else»^«|:↵»^« <n2>:↵        return <k3>|        return <k3>»
---
def <f1>(<n1>, <n2>):
    <n3> = <n1> + <n2>
    <fill0-2>
+    if <n2>:
+        <n3> = <n3> + <k4>
+    «else|elif <n1>»:
+        <n3> = <n2> * <k5>
    if <n3> == <k1>:
        <n1> = <n3>
    «elif|else»^«|:↵»^« <n2>:↵        <n1> = <k3>|        <n1> = <k3>»
""",
    ),
)

IF_TERNARY = Task(
    name="if_ternary",
    asks="Tell a conditional expression, which needs an else, from an if statement.",
    contrast="`    x = a if b` → ` else` | `    if b` → `:`",
    excludes="the last two tokens and the name b, equal; the other form comes before",
    construct=(r"^ +\w+ = \w+ if \w+ else ", r"^ +if \w+:\n"),
    templates=pools(
        train="""
def <f1>(<n1>, <n2>):
    <fill0-2>
+    «if <n1>:↵        <n4> = <d1>|<n4> = <d1> + <n2> if <n1> else <d3>»
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        return <n2>»
---
def <f1>(<n1>, <n2>):
+    «if <n1>:↵        <n4> = <n2>|<n4> = <n2> if <n1> else <n1> + <d2>»
    <fill0-2>
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        return <n2>»
---
<n1> = input()
<n2> = len(<n1>)
for <n5> in range(<n2>):
    <fill0-2>
+    «if <n2>:↵        <n4> = <n5>|<n4> = <n5> if <n2> else <n2> + <d2>»
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n5> if|if» <n1>^« else|:↵»^« <k4>|        print(<n2>)»
---
def <f1>(<n1>, <n2>, <n5>):
    <n6> = <k5>
+    «if <n5>:↵        <n6> = <n1>|<n6> = <n1> if <n5> else <n1> + <d2>»
    <fill0-2>
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <n6>|        print(<n2>)»
---
<n2> = len(input())
while <n2>:
    <n1> = <n2> > <k1>
+    «if <n1>:↵        <n2> = <d1>|<n2> = <d1> + <n2> if <n1> else <d3>»
    <fill0-2>
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        print(<n2>)»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n5> = <n2> * <k1>
    <fill0-2>
+    «if <n1>:↵        <n5> = <n2>|<n5> = <n2> if <n1> else <n2> - <d2>»
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        return <n5>»
---
<n1> = input()
<n2> = len(<n1>) * <k1>
while <n2>:
+    «if <n1>:↵        <n2> = <d3>|<n2> = <d3> if <n1> else <n2> - <d2>»
    <fill0-2>
-    <n9> = <n2>«| + <d9>»
    «<n3> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        print(<n2>)»
""",
        test="""
def <f1>(<n1>, <n2>, <n3>):
    <n5> = <n2> + <n3>
+    «if <n2>:↵        <n5> = <n3>|<n5> = <n3> if <n2> else <n2> * <d2>»
    <fill0-2>
-    <n9> = <n2>«| + <d9>»
    «<n6> = <n5> if|if» <n1>^« else|:↵»^« <k4>|        return <n5>»
---
<n1> = input()
<n2> = len(<n1>) + <k1>
for <n3> in <n1>:
    <fill0-2>
+    «if <n1>:↵        <n2> = <n2> + <k3>|<n2> = <n2> + <k3> if <n1> else <n2> * <d2>»
-    <n9> = <n2>«| + <d9>»
    «<n5> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        print(<n3>)»
---
def <f1>(<n1>, <n2>):
    <fill0-2>
    <n5> = <n2> * <k1>
+    «if <n1>:↵        <n5> = <n5> + <k3>|<n5> = <n5> + <k3> if <n1> else <n2> * <d2>»
-    <n9> = <n2>«| + <d9>»
    «<n6> = <n2> if|if» <n1>^« else|:↵»^« <k4>|        return <n5>»
""",
    ),
)

IF_EQUALS = Task(
    name="if_equals",
    asks="Compare after if, and assign otherwise.",
    contrast="`    if x` → ` ==` | `    x` → ` =`",
    excludes="the name and the bigram from it; the other form comes before",
    construct=(r"^ +if \w+ == ", r"^ +\w+ = "),
    templates=pools(
        train="""
def <f1>(<n1>, <n2>):
+    «<n1> = <k1>↵    |if <n1> == <k1>:↵        »<n2> = <k2>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <k3>«:↵        return <n2>|»
---
def <f1>(<n1>):
    <fill0-3>
+    «<n1> = <k1>↵    |if <n1> == <k1>:↵        »print(<n1>)
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <k3>«:↵        return <k4>|»
---
<n2> = input()
for <n1> in <n2>:
+    «<n2> = <k1>↵    |if <n2> == <k1>:↵        »print(<n2>)
    <fill0-3>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <n2>«:↵        print(<n1>)|»
---
<n1> = <k1>
while <n1>:
    <fill0-3>
+    «<n1> = <k2>↵    |if <n1> == <k2>:↵        »print(<n1>)
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <k3>«:↵        print(<n1>)|»
---
def <f1>(<n1>, <n2>):
    <n3> = <n2>
+    «<n3> = <n1>↵    |if <n3> == <n1>:↵        »<n3> = <k1>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <n3>«:↵        return <n2>|»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n3> = <n1> * <n2>
+    «<n3> = <n1> - <k1>↵    |if <n3> == <n1> - <k1>:↵        »<n3> = <n1> - <k2>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <n3>«:↵        return <n2>|»
---
<n1> = len(input()) * <k1>
while <n1>:
    <fill0-3>
+    «<n1> = <k1>↵    |if <n1> == <k1>:↵        »<n1> = <n1> - <k2>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <k3>«:↵        print(<n1>)|»
""",
        test="""
def <f1>(<n1>, <n2>, <n3>):
    <fill0-3>
+    «<n3> = <n2>↵    |if <n3> == <n2>:↵        »<n3> = <n2> + <k2>
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <n3>«:↵        return <n2>|»
---
<n1> = len(input()) + <k1>
for <n2> in range(<n1>):
    <fill0-3>
+    «<n1> = <k1>↵    |if <n1> == <k1>:↵        »print(<n1> + <k2>)
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <n2>«:↵        print(<n2>)|»
---
def <f1>(<n1>, <n2>):
    <n3> = <n1> + <n2>
    <fill0-3>
+    «<n1> = <n3> * <k1>↵    |if <n1> == <n3> * <k1>:↵        »print(<n3> + <k1>)
-    <n9> = «|not »<n1>
    «if |»<n1>^« ==| =»^ <k3>«:↵        return <n3>|»
""",
    ),
)

VAR_IF = Task(
    name="var_if",
    asks="End a condition with a colon, an assignment with the line.",
    contrast="`    if x == True` → `:` | `    x = True` → the line's end",
    excludes="the name, the value and the bigram from it; the other form comes before",
    construct=(r"^ +if \w+ == (True|False|None):\n", r"^ +\w+ = (True|False|None)\n"),
    templates=pools(
        train="""
def <f1>(<n1>, <n2>):
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »return <n1>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        return <n2>|    return <n2>»
---
def <f1>(<n1>):
    <fill0-3>
+    «<n3> = <const1>↵    |if <n1> == <const1>:↵        »print(<n1>)
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        return <n1>|    return <n1>»
---
<n2> = input()
for <n1> in <n2>:
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »print(<n2>)
    <fill0-3>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        print(<n1>)|    print(<n1>)»
---
<n1> = <k1>
while <n1>:
    <fill0-3>
+    «<n2> = <const1>↵    |if <n1> == <const1>:↵        »<n1> = <k2>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        print(<n1>)|    print(<n1>)»
---
def <f1>(<n1>, <n2>, <n3>):
    if <n3>:
+        «<n2> = <const1>↵        |if <n2> == <const1>:↵            »print(<n2>)
        <fill0-3>
-        <n9> = «|not »<n1>
        «if <n1> ==|<n1> =» <const1>^«:↵|↵»^\
«            print(<n2>)|        print(<n2>)»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n3> = <n1> * <n2>
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »<n3> = <n3> - <k1>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        return <n3>|    return <n3>»
---
<n2> = len(input()) * <k1>
for <n1> in range(<n2>):
    <fill0-3>
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »<n2> = <n1> - <k2>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        print(<n1>)|    print(<n1>)»
""",
        test="""
def <f1>(<n1>, <n2>, <n3>):
    <n4> = <n2> + <n3>
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »<n4> = <n4> * <k1>
    <fill0-3>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        return <n4>|    return <n4>»
---
<n2> = len(input()) + <k1>
for <n1> in range(<n2>):
+    «<n2> = <const1>↵    |if <n2> == <const1>:↵        »print(<n1> + <k2>)
    <fill0-3>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        print(<n1>)|    print(<n1>)»
---
def <f1>(<n1>, <n2>):
    <fill0-3>
    <n3> = <n1> + <k1>
+    «<n3> = <const1>↵    |if <n3> == <const1>:↵        »<n3> = <n2> + <k2>
-    <n9> = «|not »<n1>
    «if <n1> ==|<n1> =» <const1>^«:↵|↵»^«        return <n3>|    return <n3>»
""",
    ),
)
