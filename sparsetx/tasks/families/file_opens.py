"""Tasks about opening files: with or without `with`, and for reading or writing."""

from sparsetx.tasks.task import Task, pools

WITH_AS = Task(
    name="with_as",
    asks="Name the opened file with `as`, but only inside a with statement.",
    contrast="`with open(p` → `)` (then ` as`) | `f = open(p` → `)` and the line's end",
    excludes="the name p, and earlier opens, which have the other form",
    construct=(r"with open\(\w+\) as ", r" = open\(\w+\)\n"),
    templates=pools(
        train="""
def <f1>(<n1>, <n3>):
+    «<n4> =|with» open(<n3>)«| as <n4>:»
+    «<n5> = <n4>.read()|    <n5> = <n4>.read()»
    <fill0-2>
-    <n9> = «not |»<n3>
+    <n9> = <n3>« + <d9>|»
    «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵        print(<n2>.read())|    print(<n2>.read())»
---
def <f1>(<n1>):
+    «with|<n4> =» open(<n1>)« as <n4>:|»
+    «    print(<n4>.read())|print(<n4>.read())»
+    «<n5> =|with» open(<n1>)«| as <n5>:»
+    «print(<n5>.read())|    print(<n5>.read())»
    <fill0-2>
-    <n9> = «not |»<n1>
+    <n9> = «not |»<n1>
    «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵        print(<n2>.read())|    print(<n2>.read())»
---
def <f1>(<n3>):
    for <n1> in <n3>:
+        «<n4> =|with» open(<n1>)«| as <n4>:»
+        «print(<n4>.read())|    print(<n4>.read())»
        <fill0-2>
-        <n9> = «not |»<n3>
+        <n9> = <n3>« + <d9>|»
        «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵            print(<n2>.read())|        print(<n2>.read())»
---
def <f1>(<n1>):
    <fill0-2>
+    «<n4> =|with» open(<n1>)«| as <n4>:»
+    «<n5> = len(<n4>.read())|    <n5> = len(<n4>.read())»
-    <n9> = «not |»<n1>
+    <n9> = <n1>« + <d9>|»
    «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵        return <n2>.read()|    return <n2>.read()»
---
def <f1>(<n1>, <n3>):
    if <n3>:
        <fill0-2>
+        «<n4> =|with» open(<n3>)«| as <n4>:»
+        «print(<n4>.read())|    print(<n4>.read())»
-        <n9> = «not |»<n3>
+        <n9> = <n3>« + <d9>|»
        «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵            print(<n2>.read())|        print(<n2>.read())»
""",
        val="""
<n1> = input()
<n6> = len(<n1>)
+«<n4> =|with» open(<n1>)«| as <n4>:»
+«<n5> = <n4>.read()|    <n5> = <n4>.read()»
<fill0-2>
-<n9> = «not |»<n1>
+<n9> = <n1>« + <d9>|»
«with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵    print(<n2>.read())|print(<n2>.read())»
---
def <f1>(<n1>, <n3>):
    while <n3>:
+        «<n4> =|with» open(<n3>)«| as <n4>:»
+        «<n3> = <n4>.read()|    <n3> = <n4>.read()»
        <fill0-2>
-        <n9> = «not |»<n3>
+        <n9> = <n3>« + <d9>|»
        «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵            print(<n2>.read())|        print(<n2>.read())»
""",
        test="""
def <f1>(<n1>, <n3>):
    <n6> = len(<n1>)
+    «<n4> =|with» open(<n3>)«| as <n4>:»
+    «<n6> += len(<n4>.read())|    <n6> += len(<n4>.read())»
    <fill0-2>
-    <n9> = «not |»<n3>
+    <n9> = <n3>« + <d9>|»
    «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵        print(<n2>.read())|    print(<n2>.read())»
---
<n1> = input()
<fill0-2>
+«<n5> =|with» open(<n1>)«| as <n5>:»
+«print(len(<n5>.read()))|    print(len(<n5>.read()))»
-<n9> = «not |»<n1>
+<n9> = <n1>« + <d9>|»
«with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵    print(<n2>.read())|print(<n2>.read())»
---
def <f1>(<n1>, <n3>, <n6>):
    if <n3> == <n6>:
+        «<n5> =|with» open(<n3>)«| as <n5>:»
+        «<n6> = <n5>.read()|    <n6> = <n5>.read()»
        <fill0-2>
-        <n9> = «not |»<n3>
+        <n9> = <n3>« + <d9>|»
        «with|<n2> =» open(<n1>^«)|)↵»^\
« as <n2>:↵            print(<n2>.read())|        print(<n2>.read())»
""",
    ),
)

# `out` and `in` are the two lists of stems in data/words.py; `ext` is any extension.
WITH_OPEN = Task(
    name="with_open",
    asks="Open a file for writing or for reading, as its name says.",
    contrast='`open("out.txt", "` → `w` | `open("in.txt", "` → `r`',
    excludes="the extension, and earlier opens, which have the other mode",
    construct=(r'open\("[a-z_]+\.[a-z]+", "w', r'open\("[a-z_]+\.[a-z]+", "r'),
    templates=pools(
        train="""
<fill0-4>
+<n2> = open("«<in2>|<out2>».<ext2>", "«r|w»")
<n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
---
<fill0-4>
+<n2> = open("«<in2>|<out2>».<ext1>", "«r|w»")
with open("«<out1>|<in1>».<ext1>", "^«w|r»^") as <n1>:
    print(<n1>)
---
def <f1>():
    <fill0-3>
+    with open("«<in2>|<out2>».<ext2>", "«r|w»") as <n2>:
+        print(<n2>)
    <n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
---
def <f1>(<n3>):
    <fill0-3>
+    <n2> = open("«<in2>|<out2>».<ext1>", "«r|w»")
    with open("«<out1>|<in1>».<ext1>", "^«w|r»^") as <n1>:
        print(<n3>, <n1>)
---
<n3> = <k3>
if <n3>:
+    <n2> = open("«<in2>|<out2>».<ext2>", "«r|w»")
+    <n4> = open("«<in3>|<out3>».<ext1>", "«r|w»")
    <fill0-3>
    <n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
""",
        val="""
<n3> = <k3> * <k4>
+<n2> = open("«<in2>|<out2>».<ext1>", "«r|w»")
<fill0-4>
with open("«<out1>|<in1>».<ext1>", "^«w|r»^") as <n1>:
    print(<n1>)
---
def <f1>(<n3>, <n4>):
+    with open("«<in2>|<out2>».<ext2>", "«r|w»") as <n2>:
+        print(<n2>, <n3>)
    <fill0-4>
    <n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
""",
        test="""
<n3> = <k3> + <k4>
<fill0-4>
+with open("«<in2>|<out2>».<ext1>", "«r|w»") as <n2>:
+    print(<n2>)
with open("«<out1>|<in1>».<ext1>", "^«w|r»^") as <n1>:
    print(<n1>)
---
def <f1>(<n3>, <n4>):
    <n5> = <n3> * <n4>
+    <n2> = open("«<in2>|<out2>».<ext2>", "«r|w»")
    <fill0-3>
    <n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
---
<fill1-3>
while True:
+    <n2> = open("«<in2>|<out2>».<ext1>", "«r|w»")
    <n1> = open("«<out1>|<in1>».<ext1>", "^«w|r»^")
""",
    ),
)
