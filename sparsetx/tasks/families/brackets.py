"""Tasks about brackets: how deep a list is, and whether an open bracket is a dict.

The paper's own bracket circuit averages the brackets that it has seen. So distractors
are closed literals before the question, one of one kind and two or three of the other,
the same in both prompts: an average gives the same answer for both, and is wrong for
one. As with quotes, the test pool closes them in another way than the train pool.
"""

from sparsetx.tasks.task import Task, pools

BRACKET_COUNTING = Task(
    name="bracket_counting",
    asks="Close as many brackets as are open.",
    contrast="`x = [1, 2` → `]` | `x = [[1, 2` → `]]`",
    excludes="length and nearest bracket: closed lists come before, the same in both",
    construct=(
        r" = \[\d+(, \d+)*\](, \[\d+(, \d+)*\])*\n",
        r" = \[\[\d+(, \d+)*\](, \[\d+(, \d+)*\])*\]\n",
    ),
    aligned=False,  # B is longer by `[` where ` [[` is not one token
    templates=pools(
        train="""
<fill0-2>
+print(<k1>, [[<row1>]])
+print(<k2>, [[<row2>]])
<n1>, <n2> = «[|[[»<row3>], [<items>^«]|]]»↵^
---
def <f1>():
    <fill0-1>
+    print(<k1>, [<row1>])
+    print(<k2>, [<row2>])
+    print(<k3>, [[<row3>]])
+    print(<k4>, [<row4>])
    <n1> = «[|[[»<items>^«]|]]»↵^
---
-<n2> = [<row1>]
-<n3> = [[<row2>]]
<fill0-2>
+print(<k1>, §[[|[§<row3>§]]|]§)
+print(<k2>, §[|[[§<row4>§]|]]§)
+print(<k3>, §[|[[§<row5>§]|]]§)
+print(<k4>, §[|[[§<row6>§]|]]§)
<n1> = «[|[[»<items>^«]|]]»↵^
---
<n3> = <k3>
if <n3> > <k4>:
-    <n4> = [[<row5>]]
-    <n5> = [<row6>]
    <fill0-1>
+    print(<n3>, [[<row1>]])
+    print(<n3>, [[<row2>]])
    <n1>, <n2> = «[|[[»<row3>], [<items>^«]|]]»↵^
---
for <n3> in range(<k9>):
+    print(<n3>, [[<row1>]])
+    print(<n3>, [[<row2>]])
+    print(<n3>, [<row3>])
+    print(<n3>, [[<row4>]])
    <fill0-1>
    <n1> = «[|[[»<items>^«]|]]»↵^
""",
        val="""
<n3> = <k3> * <k4>
+<n4> = §[[|[§<row1>§]]|]§
+<n5> = §[|[[§<row2>§]|]]§
+<n6> = §[|[[§<row3>§]|]]§
+<n7> = §[|[[§<row4>§]|]]§
<fill0-1>
<n1> = «[|[[»<items>^«]|]]»↵^
---
while True:
    <fill0-1>
+    <n4> = [[<row1>]]
+    <n5> = [[<row2>]]
    <n1>, <n2> = «[|[[»<row3>], [<items>^«]|]]»↵^
""",
        test="""
<n3> = <k3> + <k4>
<fill0-1>
+<n4> = [[<row1>]]
+<n5> = [[<row2>]]
<n1>, <n2> = «[|[[»<row3>], [<items>^«]|]]»↵^
---
def <f1>(<n3>):
+    <n4> = §[|[[§<row1>§]|]]§
+    <n5> = §[|[[§<row2>§]|]]§
+    <n6> = §[[|[§<row3>§]]|]§
+    <n7> = §[|[[§<row4>§]|]]§
    <fill0-1>
    <n1> = «[|[[»<items>^«]|]]»↵^
---
<fill1-3>
+<n4> = [<row1>]
+<n5> = [[<row2>]]
+<n6> = [<row3>]
+<n7> = [<row4>]
<n1> = «[|[[»<items>^«]|]]»↵^
""",
    ),
)

BRACKET_BRACE = Task(
    name="bracket_brace",
    asks="After the first string, continue as the open bracket requires: dict or list.",
    contrast="""`x = {"a` → `":` | `x = ["a` → `",`""",
    excludes="nearest closed bracket: dicts and lists come before, the same in both",
    construct=(r' = \{"[a-z]+": ', r' = \["[a-z]+", '),
    templates=pools(
        train="""
<fill0-1>
-print(<list1>)
+print(<k1>, §{<dict2>}|[<list2>]§)
+print(<k3>, §[<list4>]|{<dict4>}§)
+print(<k5>, §[<list6>]|{<dict6>}§)
+print(<k7>, §[<list8>]|{<dict8>}§)
<n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
def <f1>(<n2>):
-    print(<list1>)
+    print(<n2>, §[<list4>]|{<dict4>}§)
+    print(<n2>, §[<list6>]|{<dict6>}§)
+    print(<n2>, §{<dict2>}|[<list2>]§)
+    print(<n2>, §[<list8>]|{<dict8>}§)
    <n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
-<n2> = {"<w4>": "<w5>"}
-<n3> = ["<w6>", "<w7>"]
<fill0-1>
-print(<list1>)
+print(<k4>, §[<list4>]|{<dict4>}§)
+print(<k5>, §[<list6>]|{<dict6>}§)
+print(<k6>, §[<list8>]|{<dict8>}§)
+print(<k2>, §{<dict2>}|[<list2>]§)
<n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
<n2> = <k2>
if <n2> > <k3>:
-    <n3> = ["<w6>", "<w7>"]
-    <n4> = {"<w4>": "<w5>"}
-    print(<list1>)
+    print(<n2>, §{<dict2>}|[<list2>]§)
+    print(<n2>, §[<list6>]|{<dict6>}§)
+    print(<n2>, §[<list8>]|{<dict8>}§)
+    print(<n2>, §[<list4>]|{<dict4>}§)
    <n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
for <n2> in range(<k1>):
+    print(<n2>, §[<list4>]|{<dict4>}§)
+    print(<n2>, §{<dict2>}|[<list2>]§)
+    print(<n2>, §[<list6>]|{<dict6>}§)
+    print(<n2>, §[<list8>]|{<dict8>}§)
    <fill0-1>
    <n1> = «{"|["»<w1>^«":|",»^« <n2>}| "<w9>"]»
""",
        val="""
<n2> = <k2> * <k3>
+<n3> = §{"<w2>": <k4>}|["<w2>", "<v2>"]§
+<n4> = §["<w3>", "<v3>"]|{"<w3>": <k5>}§
+<n5> = §["<w4>", "<v4>"]|{"<w4>": <k6>}§
+<n6> = §["<w5>", "<v5>"]|{"<w5>": <k7>}§
<fill0-1>
<n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
while True:
    <fill0-1>
+    <n4> = §["<w3>", "<v3>"]|{"<w3>": <k5>}§
+    <n5> = §["<w4>", "<v4>"]|{"<w4>": <k6>}§
+    <n3> = §{"<w2>": <k4>}|["<w2>", "<v2>"]§
+    <n6> = §["<w5>", "<v5>"]|{"<w5>": <k7>}§
    <n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
""",
        test="""
<n2> = <k2> + <k3>
<fill0-1>
+<n3> = §{"<w2>": <n2>}|["<w2>", <n2>]§
+<n4> = §["<w3>", <n2>]|{"<w3>": <n2>}§
+<n5> = §["<w4>", <n2>]|{"<w4>": <n2>}§
+<n6> = §["<w5>", <n2>]|{"<w5>": <n2>}§
+<n8> = §["<w6>", <n2>]|{"<w6>": <n2>}§
<n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
---
def <f1>(<n2>, <n7>):
+    <n4> = §["<w3>", <n2>]|{"<w3>": <n2>}§
+    <n3> = §{"<w2>": <n2>}|["<w2>", <n2>]§
+    <n5> = §["<w4>", <n2>]|{"<w4>": <n2>}§
+    <n6> = §["<w5>", <n2>]|{"<w5>": <n2>}§
+    <n8> = §["<w6>", <n2>]|{"<w6>": <n2>}§
    <fill0-1>
    <n1> = «{"|["»<w1>^«":|",»^« <n2>}| "<w9>"]»
---
<n2> = <k2> - <k3>
<fill0-1>
+<n4> = §["<w3>", <n2>]|{"<w3>": <n2>}§
+<n5> = §["<w4>", <n2>]|{"<w4>": <n2>}§
+<n6> = §["<w5>", <n2>]|{"<w5>": <n2>}§
+<n8> = §["<w6>", <n2>]|{"<w6>": <n2>}§
+<n3> = §{"<w2>": <n2>}|["<w2>", <n2>]§
<n1> = «{"|["»<w1>^«":|",»^« <k9>}| "<w9>"]»
""",
    ),
)
