NAMES = """total count value result item index name size data line text number key node left right start end first last
low high step limit score price amount level rate weight width height depth length offset buffer cursor stack queue table row
column cell grid board player enemy speed angle radius area volume color shape point edge path root leaf parent child
user group owner member author title label tag note comment message reply token word letter symbol char digit sign
flag state status mode phase stage round turn move goal target source origin batch chunk block page section chapter
field record entry order invoice payment balance budget cost tax profit salary bonus credit debit account client
server host port address route link query filter sorter ranker parser reader writer loader saver cache store shelf
box bag cup plate tray lamp desk chair door window floor wall roof garden tree flower river lake hill road bridge
city town street house room""".split()
FUNCS = """load save build make find read show run check parse update process convert merge split scan render compute collect format
handle fetch send apply reset create prepare select measure test""".split()
CLASSES = """Account Player Node Shape Order Point Matrix Vector Stack Queue Robot Engine Parser Report Invoice Garden""".split()
OUT = """output result report summary export backup dump copy draft save answers totals stats final done written
build render plot archive""".split()
IN = """input config settings source data_in users names words lines orders prices template schema query records notes
samples questions original raw""".split()
W = """red green blue small large open closed new old ready done empty full hot cold fast slow item total count of the and
for with found lost apples pears plums bread milk sugar salt paper stone wood metal glass water fire wind snow rain sun moon star
day night week month year hour minute home work school music song dance game play win lose start stop wait next
happy sad good bad best worst first last one two three four five six seven eight nine ten""".split()
EXT = "txt csv log json md dat".split()
W = sorted(set(W))


def part(xs, split, cuts=(0.6, 0.75)):
    a, b = (round(len(xs) * c) for c in cuts)
    return tuple({"train": xs[:a], "val": xs[a:b], "test": xs[b:]}[split])


def words(split):
    import random

    r = {"n": NAMES, "f": FUNCS, "c": CLASSES, "w": W, "out": OUT, "in": IN}
    out = {}
    for k, v in r.items():
        v = [x for x in v]
        random.Random(1).shuffle(v)
        out[k] = part(v, split)
    out["ext"] = tuple(EXT)
    return out
