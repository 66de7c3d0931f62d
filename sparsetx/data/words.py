"""Word lists for generated programs and for the prompts of tasks.

Every list is ordered from the most to the least frequent; frequencies follow Zipf's law
(`frequencies`). The words are short and common, so that most are one token even in a
small vocabulary. A word does not tell what it names: the same name may hold a number in
one program and a set in another. One exception is deliberate, since a task asks about
it: a file's stem decides the mode in which it is opened.
"""

from collections.abc import Sequence
from itertools import accumulate

FLATTEN = 12  # added to the rank: the first words are about equally frequent


def listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Singular names: numbers, texts, flags, loop variables, parameters, attributes.
ONE = listed("""
    x value name count total item i n result key index size line text number left
    node right start a score b end price first y level last word current width low high
    step limit height amount rate weight k depth length c offset buffer cursor row p
    column cell point speed color shape edge path stream root leaf parent child user
    owner member author s title label tag note comment message reply token letter m
    symbol char digit sign flag state status mode stage turn move goal target j
    source origin batch chunk block page section chapter field record entry order t
    invoice payment balance budget cost tax profit salary bonus credit debit account
    client server host port address route link query card day week month year hour
    minute second age rank position angle radius area volume mass force power energy d
    distance height_limit delay timeout factor ratio margin average median minimum
    maximum base rest share change delta gap error guess answer question hint secret
    pattern prefix suffix header footer body content summary report version branch q
    commit engine motor wheel car train truck boat plane ticket seat room floor door
    window wall street city country region zone district parish harbor island border
    dx dy team player enemy coach league match season medal prize winner loser deck
    rival hand suit dice bet coin wallet store product brand stock supply demand
    order_id item_name user_name user_id file_name line_number total_count max_size
    min_size node_id new_value old_value next_item last_item best_score row_count
    word_count is_open is_done is_valid is_empty has_next found done ready active
    visible """)

# Those of them that suit texts or flags better than numbers.
TEXTS = listed("""
    name text line word title label path message key letter color tag note comment
    answer question reply token pattern prefix suffix header footer body content user
    owner author address city country query summary file_name user_name item_name
""")
FLAGS = listed("""
    found done ready active flag is_open is_valid is_done is_empty has_next visible
    state status mode
""")

# Plural names: lists and what loops run over.
MANY = listed("""
    items values names data numbers words lines rows results scores users keys
    nodes points prices records cells levels letters files parts pages orders entries
    tokens books cards players colors grid board table matrix queue stack tasks tags
    notes labels titles symbols digits counts totals weights sizes steps moves turns
    rounds stages edges paths routes links members owners authors messages replies
    comments fields chunks blocks batches groups teams rooms cities days weeks months
    years hours options choices answers questions events logs errors goals
    targets sources visits seen known unique extra pairs shapes angles areas images
    songs animals fruits tools boxes coins clients servers products samples
""")

NAMES = tuple(name for pair in zip(ONE, MANY, strict=False) for name in pair) + (
    ONE[len(MANY) :] + MANY[len(ONE) :]
)

FUNCTIONS = listed("""
    get load save add main build make find check read update run show process parse
    create convert merge split scan render compute collect display handle fetch send
    apply reset prepare select measure test tally remove insert search sort
    push pop draw trim launch visit sketch announce describe compare validate
    write copy clear close connect download upload export install normalize scale
    shift rotate translate estimate predict judge classify gather pick choose
""")

CLASSES = listed("""
    Node User Item Account Player Point Order Shape Queue Stack Parser Report Book
    Matrix Vector Robot Engine Invoice Garden Game Board Card Team Client Server Store
    Product Message Task Event Logger Reader Writer Counter Timer Cache Config Table
    Record Animal Dog Cat Car Train Ship Circle Square Person Student Teacher Course
    School Library City Room House Wallet Bank
""")

# Words inside strings, also keys of dicts and members of lists.
WORDS = listed("""
    new red hello file open ok yes world old blue
    black small green home work big white time good food bread milk water fire apple
    more less hot cold fast slow long short full best worst one two three four
    five six ten up down back next stop wait play win lose lost
    please enter invalid missing unknown wrong correct empty finished
    welcome goodbye thanks sorry warning failed success loading saving closed pending
    approved rejected paid sold free busy late early today tomorrow yesterday monday
    friday sunday morning evening night summer winter spring autumn sun moon star rain
    snow wind cloud river lake hill mountain forest tree flower grass rock sand gold
    silver iron copper wood paper glass metal plastic cotton wool silk salt sugar honey
    butter cheese rice corn beans meat fish egg soup cake tea coffee juice wine lemon
    orange banana grape cherry plum pear peach melon onion carrot potato tomato dog cat
    horse cow sheep pig goat duck bird lion tiger bear wolf fox mouse rabbit snake frog
    bee ant spider chair bed lamp desk shelf cup plate bowl fork knife spoon
    bag hat coat shirt shoe sock ring watch phone camera radio music song dance
    movie story poem paint brush pencil pen eraser ruler school
    teacher doctor nurse farmer driver pilot sailor soldier king queen prince castle
    bridge tower church market garden park beach desert ocean yellow purple pink
    brown gray flat deep wide narrow heavy light dark bright quiet loud soft
    hard sweet sour bitter fresh clean dirty dry wet young happy sad angry tired hungry
""")

# Words that begin a phrase, and that join its words.
LEADING = listed("the no not a for in all")
JOINING = listed("of and is for with to in on")

# Files whose stem is in the first list are read ("r"), in the second written ("w").
READ_STEMS = listed("""
    input config data settings source users words lines prices template
    schema query original raw names sample training dictionary catalog inventory
    customers students songs recipe story map rules defaults
""")
WRITE_STEMS = listed("""
    output result report summary export backup dump copy draft answers totals stats
    final archive plot log history errors trace letter invoice
    receipt render diary scores ranking journal snapshot
""")
EXTENSIONS = ("txt", "csv", "json", "log", "md", "dat")


def one_of(many: str) -> str:
    """`price` for `prices`, `entry` for `entries`; '' if that is not in ONE."""
    found = many[:-3] + "y" if many.endswith("ies") else many[:-1]
    return found if many.endswith("s") and found in ONE else ""


def frequencies(words: Sequence[str]) -> list[float]:
    """Cumulative probability of each word in order: Zipf's law, flattened at the top.

    Computed from small integers only, so the floats are the same on every machine.
    """
    weights = [1 / (rank + 1 + FLATTEN) for rank in range(len(words))]
    total = sum(weights)
    return [reached / total for reached in accumulate(weights)]
