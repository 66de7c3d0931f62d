"""Tasks about loops: for or while, enumerate or range, and indentation."""

from sparsetx.tasks.task import Task, pools

FOR_WHILE = Task(
    name="for_while",
    asks="Continue with ` in` after for, with a colon after while.",
    contrast="`for x` → ` in` | `while x` → `:`",
    excludes="the bigram from x; the same x is in an earlier loop of the other kind",
    construct=(r"\bfor \w+ in ", r"\bwhile \w+:\n"),
    templates=pools(
        train="""
<n1> = <k1>
<n2> = list(input())
+«while <n1> and <n2>:|for <n1> in <n2>:»
+    «<n1> = <n2>|<n8> = <n1>».pop()
<fill0-4>
«for|while» <n1>^« in|:↵»^« <n2>:↵    print(<n1>)|    <n1> = <k2>»
---
def <f1>(<n1>, <n2>):
    <fill0-4>
+    «while <n1> and <n2>:|for <n1> in <n2>:»
+        «<n1> = <n2>|<n8> = <n1>».pop()
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> = <k2>»
---
def <f1>(<n1>, <n2>):
    if <n1>:
        <fill0-3>
+        «while <n1> and <n2>:|for <n1> in <n2>:»
+            «<n1> = <n2>|<n8> = <n1>».pop()
        «for|while» <n1>^« in|:↵»^\
« <n2>:↵            print(<n1>)|            <n1> = <k2>»
---
<n2> = list(input())
<n1> = len(<n2>)
+«while <n1> and <n2>:|for <n1> in <n2>:»
+    «<n1> = <n2>|<n8> = <n1>».pop()
if <n1>:
    <fill0-3>
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> -= <d2>»
---
def <f1>(<n2>):
    <n1> = <k1>
+    «while <n1> and <n2>:|for <n1> in <n2>:»
+        «<n1> = <n2>|<n8> = <n1>».pop()
    <fill0-4>
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> -= <d2>»
""",
        val="""
def <f1>(<n1>, <n2>):
    <n3> = <n1> * <k3>
    <fill0-4>
+    «while <n1> and <n2>:|for <n1> in <n2>:»
+        «<n1> = <n2>|<n8> = <n1>».pop()
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> -= <d2>»
---
<n2> = list(input())
<n1> = len(<n2>) * <k3>
<fill0-4>
+«while <n1> and <n2>:|for <n1> in <n2>:»
+    «<n1> = <n2>|<n8> = <n1>».pop()
«for|while» <n1>^« in|:↵»^« <n2>:↵    print(<n1>)|    <n1> -= <d2>»
""",
        test="""
<n2> = list(input())
<n1> = len(<n2>) + <k3>
+«while <n1> and <n2>:|for <n1> in <n2>:»
+    «<n1> = <n2>|<n8> = <n1>».pop()
<fill0-4>
«for|while» <n1>^« in|:↵»^« <n2>:↵    print(<n1>)|    <n1> -= <d2>»
---
def <f1>(<n1>, <n2>, <n3>):
    if <n1>:
        <n1> = <n3> + <k3>
+    «while <n1> and <n2>:|for <n1> in <n2>:»
+        «<n1> = <n2>|<n8> = <n1>».pop()
    <fill0-3>
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> -= <d2>»
---
def <f1>(<n1>, <n2>):
    <fill0-4>
    <n3> = <n1> * <k3>
+    «while <n1> and <n2>:|for <n1> in <n2>:»
+        «<n1> = <n2>|<n8> = <n1>».pop()
    «for|while» <n1>^« in|:↵»^« <n2>:↵        print(<n1>)|        <n1> -= <d2>»
""",
    ),
)

# In pairs with a distractor, B has the second name in an earlier loop: both prompts
# contain exactly the same tokens.
ENUMERATE_RANGE = Task(
    name="enumerate_range",
    asks="Loop over enumerate where two names are bound, over range where one is.",
    contrast="`for i, x in` → ` enumerate` | `for i in` → ` range`",
    excludes="the name i, and a comma seen: an earlier loop unpacks in B and not in A",
    construct=(r"for \w+, \w+ in enumerate\(", r"for \w+ in range\("),
    templates=pools(
        train="""
def <f1>(<n4>):
    <fill0-3>
+    for <n3>«|, <n2>» in <n4>:
+        print(<n3>)
-    print(<n4>«|, <n4>»)
    for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<k1>»):
        print(<n1>)
---
<n4> = list(input())
+for <n3>«|, <n2>» in <n4>:
+    print(<n3>)
<fill0-4>
-print(<n4>«|, <n4>»)
for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<k1>»):
    print(<n1>)
---
def <f1>(<n4>, <n5>):
-    for <n6>«|, <n7>» in <n5>:
+    for <n3>«|, <n2>» in <n5>:
        print(<n4>)
    <fill0-3>
    for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<k1>»):
        print(<n1>)
---
def <f1>(<n4>, <n5>):
    if <n5>:
+        for <n3>«|, <n2>» in <n4>:
+            print(<n5>, <n3>)
        <fill0-3>
-        print(<n4>«|, <n4>»)
        for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<n5>»):
            print(<n1>)
---
<n4> = input()
+for <n3>«|, <n2>» in <n4>:
+    print(<n3>)
-for <n3>«|, <n6>» in <n4>:
-    print(<n3>)
<fill0-4>
for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<k1>»):
    print(<n1>)
""",
        val="""
def <f1>(<n4>, <n5>):
    <n6> = <n5> * <k3>
-    for <n7>«|, <n8>» in <n4>:
+    for <n3>«|, <n2>» in <n4>:
        print(<n6>)
    <fill0-3>
    for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<n6>»):
        print(<n1>)
---
<n4> = input()
<n5> = len(<n4>) * <k3>
<fill0-4>
+for <n3>«|, <n2>» in <n4>:
+    print(<n3>)
-print(<n4>«|, <n4>»)
for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<n5>»):
    print(<n1>)
""",
        test="""
<n4> = input()
<n5> = len(<n4>) + <k3>
+for <n3>«|, <n2>» in <n4>:
+    print(<n3>, <n5>)
-for <n3>«|, <n6>» in <n4>:
-    print(<n3>, <n5>)
<fill0-4>
for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<n5>»):
    print(<n1>)
---
def <f1>(<n4>, <n5>):
    <fill0-4>
+    for <n3>«|, <n2>» in <n5>:
+        print(<n3> + <k3>)
-    print(<n4>«|, <n4>»)
    for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<k1>»):
        print(<n1>)
---
def <f1>(<n4>, <n5>, <n6>):
-    for <n7>«|, <n8>» in <n6>:
+    for <n3>«|, <n2>» in <n6>:
        print(<n5>)
    <n9> = <n5> + <k3>
    <fill0-3>
    for <n1>«, <n2>|» in^« enumerate| range»^(«<n4>|<n9>»):
        print(<n1>)
""",
    ),
)

INDENT_FOR = Task(
    name="indent_for",
    asks="Indent the next line one level deeper than the loop above it.",
    contrast="`    for x in y:` → 7 spaces | `for x in y:` → 3 spaces",
    excludes="the last token and the depth before: the line above is deeper than both",
    construct=(r"^ {4}for \w+ in \w+:\n {8}\w", r"^for \w+ in \w+:\n {4}\w"),
    templates=pools(
        train="""
<n4> = input()
<n9> = «|not »<n4>
if <n4>:
    <n2> = <k1>
    <fill0-2>
+    if <n2>:
+        <n2> = <k2>
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>
while <n4>:
    <fill0-2>
    <n4> = input()
+    if <n4>:
+        <n2> = <k2>
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>
<fill0-2>
for <n1> in range(<k1>):
    <n2> = <n1>
+    if <n2>:
+        print(<n2>)
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>

def <f1>(<n2>):
    <fill0-2>
    <n5> = <n2>
+    while <n5>:
+        <n5> = <n5> - <k2>

«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = list(input())
<n9> = «|not »<n4>
<n1> = <k1>
if <n1> > <k2>:
    <fill0-2>
    <n2> = <n1>
+    while <n2>:
+        <n2> = <n2> - <k3>
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
""",
        val="""
<n4> = input()
<n9> = «|not »<n4>
<n1> = len(<n4>) * <k3>
if <n1>:
    <fill0-2>
    <n2> = <n1> - <k2>
+    if <n2>:
+        print(<n2> - <k2>)
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>

def <f1>(<n1>, <n2>):
    <n5> = <n1> * <n2>
    <fill0-2>
+    if <n5>:
+        print(<n5> - <k3>)

«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
""",
        test="""
<n4> = input()
<n9> = «|not »<n4>
<n1> = len(<n4>) + <k3>
while <n1>:
    <fill0-2>
    <n1> = <n1> - <k2>
+    if <n1>:
+        print(<n1> + <k2>)
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>

def <f1>(<n1>, <n2>):
    <fill0-2>
    <n5> = <n1> + <n2>
+    if <n5>:
+        <n5> = <n5> * <k3>

«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
---
<n4> = input()
<n9> = «|not »<n4>
<fill1-2>
if <n4>:
    <n2> = len(<n4>) + <k1>
+    while <n2>:
+        <n2> = <n2> - <k3>
«    |»for <n3> in <n4>:↵^«       |   »^ print(<n3>)
""",
    ),
)
