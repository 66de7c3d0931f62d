"""Tasks about strings: which quote closes one, and whether a brace may follow.

Circuits are known to average over all quotes so far, which is wrong. So distractors
are closed strings before the open one, one of one kind and three of the other, the same
in both prompts: any average gives the same answer for both. In the train pool they
close with `",`, in the test pool with `")`, so that counting these tokens, learned on
one pool, fails on the other.
"""

from sparsetx.tasks.task import Task, pools

SINGLE_DOUBLE_QUOTE = Task(
    name="single_double_quote",
    asks="Close a string with the kind of quote that opened it.",
    contrast="""`print("w w` → `")` | `print('w w` → `')`""",
    excludes="any quote seen, or their average: closed strings of both kinds precede",
    construct=(r'print\("[a-z]+ [a-z ]+"\)\n', r"print\('[a-z]+ [a-z ]+'\)\n"),
    templates=pools(
        train="""
<fill0-4>
+print(§"|'§<w1>§"|'§, <k1>)
+print(§'|"§<w2>§'|"§, <k2>)
+print(§'|"§<w3>§'|"§, <k3>)
+print(§'|"§<w4>§'|"§, <k4>)
print(«"|'»<phrase>^«")|')»↵^
---
def <f1>(<n1>):
    <fill0-3>
+    print(§'|"§<w2>§'|"§, <n1>)
+    print(§'|"§<w3>§'|"§, <k3>)
+    print(§"|'§<w1>§"|'§, <n1>)
+    print(§'|"§<w4>§'|"§, <k4>)
    print(«"|'»<phrase>^«")|')»↵^
---
<n1> = <k5>
if <n1> > <k6>:
    <fill0-3>
+    print(§'|"§<w1>§'|"§, <n1>)
+    print(§'|"§<w2>§'|"§, <n1>)
+    print(§'|"§<w3>§'|"§, <k1>)
+    print(§"|'§<w4>§"|'§, <n1>)
    print(«"|'»<phrase>^«")|')»↵^
---
-print("<w1> <w2>")
-print('<w3> <w4>')
<fill0-3>
+print(§'|"§<w5>§'|"§, <k5>)
+print(§'|"§<w6>§'|"§, <k6>)
+print(§"|'§<w7>§"|'§, <k7>)
+print(§'|"§<w8>§'|"§, <k8>)
print(«"|'»<phrase>^«")|')»↵^
---
for <n1> in range(<k9>):
-    print('<w1> <w2>')
-    print("<w3> <w4>")
+    print(§"|'§<w5>§"|'§, <n1>)
+    print(§'|"§<w6>§'|"§, <n1>)
+    print(§'|"§<w7>§'|"§, <n1>)
+    print(§'|"§<w8>§'|"§, <k8>)
    <fill0-3>
    print(«"|'»<phrase>^«")|')»↵^
""",
        val="""
<n1> = <k9>
+print(§"|'§<w1>§"|'§)
+print(§'|"§<w2>§'|"§)
+print(§'|"§<w3>§'|"§)
+print(§'|"§<w4>§'|"§)
<fill0-3>
print(«"|'»<phrase>^«")|')»↵^
---
while True:
    <fill0-3>
+    print(§'|"§<w1>§'|"§)
+    print(§'|"§<w2>§'|"§)
+    print(§"|'§<w3>§"|'§)
+    print(§'|"§<w4>§'|"§)
    print(«"|'»<phrase>^«")|')»↵^
""",
        test="""
<n1> = <k1>
<n2> = <n1>
+print(§"|'§<w1> <w2>§"|'§)
+print(§'|"§<w3>§'|"§)
+print(§'|"§<w5>§'|"§)
+print(§'|"§<w6>§'|"§)
<fill0-3>
print(«"|'»<phrase>^«")|')»↵^
---
def <f1>():
    <fill0-3>
+    print(§'|"§<w1>§'|"§)
+    print(§'|"§<w2>§'|"§)
+    print(§"|'§<w4>§"|'§)
+    print(§'|"§<w6>§'|"§)
    print(«"|'»<phrase>^«")|')»↵^
---
<fill1-4>
+print(§'|"§<w1> <w2>§'|"§)
+print(§'|"§<w3>§'|"§)
+print(§'|"§<w4>§'|"§)
+print(§"|'§<w6>§"|'§)
print(«"|'»<phrase>^«")|')»↵^
""",
    ),
)

FSTRING_BRACE = Task(
    name="fstring_brace",
    asks="Open a brace in an f-string, and close a plain one.",
    contrast="""`print(f"w w` → ` {` | `print("w w` → `")`""",
    excludes="any f seen: an earlier string is an f-string in B and plain in A",
    construct=(r'print\(f"[a-z]+ [a-z]+ \{', r'print\("[a-z]+ [a-z ]+"\)\n'),
    templates=pools(
        train="""
<fill0-3>
<n1> = <k1>
+<n2> = len(«|f»"<w1> <w3> {<n1>}")
-<n9> = «|§not |§»<n1>
print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
---
def <f1>(<n1>):
    <fill0-3>
+    <n2> = str(«|f»"<w1> <w3> {<n1>}")
-    <n9> = «|§not |§»<n1>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
---
for <n1> in range(<k1>):
+    <n2> = str(«|f»"<w1> <w3> {<n1>}")
    <fill0-3>
-    <n9> = «|§not |§»<n1>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
---
<n1> = <k1>
+<n2> = input(«|f»"<w1> <w3> {<n1>}")
<fill0-3>
if <n1>:
-    <n9> = «|§not |§»<n1>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
---
def <f1>(<n1>, <n2>):
+    <n3> = len(«|f»"<w1> <w3> {<n2>}")
    if <n2> > <k1>:
        <fill0-2>
-        <n9> = «|§not |§»<n1>
        print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
""",
        val="""
<n1> = <k1> * <k2>
<fill0-3>
+<n2> = str(«|f»"<w1> <w3> {<n1>}")
<n3> = <n1>
-<n9> = «|§not |§»<n3>
print(«f|»"<w1> <w2>^« {|")↵»^«<n3>}")|»
---
def <f1>(<n1>, <n2>):
+    <n3> = len(«|f»"<w1> <w3> {<n1>}")
    <fill0-3>
-    <n9> = «|§not |§»<n2>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n2>}")|»
""",
        test="""
<n1> = <k1> + <k2>
+<n2> = len(«|f»"<w1> <w3> {<n1>}")
<fill0-3>
<n3> = <n1> * <k3>
-<n9> = «|§not |§»<n3>
print(«f|»"<w1> <w2>^« {|")↵»^«<n3>}")|»
---
def <f1>(<n1>, <n2>, <n3>):
    <fill0-3>
+    <n4> = str(«|f»"<w1> <w3> {<n2>}")
-    <n9> = «|§not |§»<n1>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
---
<n1> = <k1> - <k2>
while <n1>:
+    <n2> = input(«|f»"<w1> <w3> {<n1>}")
    <fill0-3>
-    <n9> = «|§not |§»<n1>
    print(«f|»"<w1> <w2>^« {|")↵»^«<n1>}")|»
""",
    ),
)
