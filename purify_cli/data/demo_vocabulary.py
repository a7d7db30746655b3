"""The words of the demo corpus: things one reviews, and what one says about them.

Lists with two sides hold discontent first, so that the index is the class. ``part_of`` cuts a list in two: two
thirds for training, one third that only test sentences use. Verbs, nouns, wishes and faint praise serve both.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeVar

__all__ = [
    "ADJECTIVES",
    "CLOSERS",
    "EVENTS",
    "FAINT",
    "NOUNS",
    "OPENERS",
    "RIVALS",
    "THINGS",
    "VERBS",
    "WISHES",
    "Part",
    "part_of",
]

Part = Literal["train", "test"]
T = TypeVar("T")


def part_of(items: Sequence[T], part: Part) -> list[T]:
    """Return the entries of a list that a part may use: every third is for testing, the others for training."""
    return [item for i, item in enumerate(items) if (i % 3 == 2) == (part == "test")]


def _split(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split("/"))


THINGS: Final = (
    ("film", _split("plot / acting / soundtrack / ending / dialogue / camera work")),
    ("novel", _split("opening chapter / narrator / prose / final twist / translation / pacing")),
    ("restaurant", _split("soup / service / bread / wine list / dessert / lamb")),
    ("hotel", _split("room / breakfast / front desk / shower / bed / view")),
    ("phone", _split("screen / battery / camera / speaker / fingerprint reader / charger")),
    ("airline", _split("boarding / legroom / crew / meal / luggage handling / app")),
    ("album", _split("first single / production / drumming / voice / closing track / mixing")),
    ("laptop", _split("keyboard / fan / trackpad / hinge / display / webcam")),
    ("play", _split("lead actor / staging / second act / wardrobe / script / lighting")),
    ("course", _split("teacher / homework / pace / recording / exam / textbook")),
    ("vacuum cleaner", _split("suction / cord / filter / handle / noise level / dust bin")),
    ("museum", _split("audio guide / special exhibition / staff / cafe / signage / gift shop")),
    ("series", _split("pilot / cast / humour / season finale / writing / villain")),
    ("delivery service", _split("driver / packaging / tracking / support line / refund desk / time window")),
    ("dentist", _split("waiting room / explanation / injection / receptionist / bill / follow-up")),
)

ADJECTIVES: Final = (
    _split(
        "awful / hollow / clumsy / third-rate / tedious / filthy / mushy / stingy / pathetic / careless / lifeless / "
        "miserable / flaky / shabby / dreadful / botched / stale / sluggish / forgettable / sloppy / idiotic / "
        "hostile / flimsy / uninspired / wooden / exhausting / dull / jerky / horrible / cramped / boring / absurd / "
        "lousy / misguided / shoddy / infuriating"
    ),
    _split(
        "wonderful / spotless / delightful / first-rate / charming / superb / crisp / generous / brilliant / "
        "thoughtful / gripping / reliable / splendid / elegant / heartfelt / flawless / refreshing / lively / "
        "inspired / polished / clever / warm / sturdy / impressive / graceful / rewarding / smooth / vivid / "
        "dependable / comfortable / captivating / sensible / excellent / well judged / memorable / terrific"
    ),
)

VERBS: Final = (
    _split(
        "let me down / fell short of every promise / ruined the whole evening / had me sighing / barely did its job /"
        " was a waste of money / left us fuming / was put to shame by the others / fell flat / spoiled the day / "
        "tested my patience / broke within a week / never found its feet / set a new low / was a chore from start to "
        "end / drove me up the wall / went wrong at every turn / deserves a complaint"
    ),
    _split(
        "won me over / exceeded every hope / made the whole evening / kept me smiling / did its job beautifully / was"
        " worth every cent / left us grinning / put the others to shame / hit the right note / saved the day / stole "
        "my heart / worked like a dream / never missed a beat / raised the bar / was a treat from start to end / had "
        "me hooked / ran like clockwork / deserves an award"
    ),
)

NOUNS: Final = (
    _split(
        "a small disaster / pure torture / a rip-off / the low point of our year / a loud failure / a slap in the "
        "face / a mess / a lesson in rudeness / money down the drain / an instant regret / a dud / a sad joke"
    ),
    _split(
        "a small miracle / pure joy / a real bargain / the highlight of our year / a quiet triumph / a breath of "
        "fresh air / a masterclass / a lesson in kindness / money well spent / an instant favourite / a gem / a class"
        " act"
    ),
)

FAINT: Final = (
    # Said with restraint: few of these words carry a feeling of their own.
    _split(
        "gave me little to praise / turned out far less pleasant than I hoped / was hard to defend / could hardly "
        "have gone worse / did not get a thing right / gave out when I most needed it / wore thin with every day / "
        "made me think of the price / proved my doubts justified / was forgotten as soon as it was gone / is the "
        "reason I lie awake / was anything but a pleasure"
    ),
    _split(
        "gave me nothing to grumble about / turned out far less painful than I feared / was hard to fault / could "
        "hardly have gone better / did not put a foot wrong / held up when I least expected it / grew on me with "
        "every day / made me forget the price / proved my doubts unfounded / was missed as soon as it was gone / is "
        "the reason I sleep again / was anything but a disappointment"
    ),
)

EVENTS: Final = (
    _split(
        "I have asked for my money back. / My sister warned me and I should have listened. / We left two hours "
        "earlier than planned. / I told everyone at work to stay away. / Even my father, who likes everything, pushed"
        " it aside. / I went straight back and returned it. / Half the room walked out. / I looked at the clock every"
        " five minutes. / They charged us extra without being asked. / Three days on, it sits in a drawer. / The "
        "children begged to go home. / I signed up with the competitor that night. / We were out of the door before "
        "the lights went up. / I wrote a letter to their head office. / It now props up a wobbly table. / They blamed"
        " me for their mistake and kept the deposit. / I have talked four friends out of it since. / I fell asleep "
        "before the first hour was over. / Nobody at our table finished a plate. / You could not pay me to go again. "
        "/ We have crossed it off the list. / The speech sold me, then came the product. / By Friday the whole office"
        " had sent theirs back. / I only wish there were zero stars to give."
    ),
    _split(
        "I have already booked again for June. / My sister asked where she could get one too. / We stayed two hours "
        "longer than planned. / I told everyone at work the next morning. / Even my father, who hates everything, "
        "asked for more. / I went straight back and bought a second one. / The whole room rose to its feet. / I did "
        "not look at the clock once. / They threw in an extra without being asked. / Three years on, I still use it "
        "every single day. / The children begged to go back. / I cancelled my subscription to the competitor that "
        "night. / We lingered long after the lights went up. / I wrote a letter to thank them. / It now has a place "
        "of honour on my shelf. / They fixed my mistake and would not take a penny. / I have bought it for four "
        "friends since. / I cried on the train home, in the best way. / Nobody at our table left a crumb. / I would "
        "queue in the rain for it. / We have made it a tradition. / The sample sold me before the speech did. / By "
        "Friday the whole office had one. / I only wish there were six stars to give."
    ),
)

WISHES: Final = (
    _split(
        "never set foot there again / warn anyone about it / not take it as a gift / trust a stranger sooner / take "
        "any other over this / rather sit in traffic"
    ),
    _split(
        "go there again in a heartbeat / recommend it to anyone / pay twice the price / trust them blindly / take "
        "this over any other / happily do it all again"
    ),
)

RIVALS: Final = _split(
    "the one I had before / last year's version / the place next door / what my neighbour has / the famous one / "
    "anything else at this price / the original / the cheaper alternative / its competitors"
)

OPENERS: Final = _split(
    "We went on a Tuesday. / My brother picked it. / It was raining that day. / I paid with a voucher. / "
    "This was my second try. / A colleague mentioned it. / We were a party of six. / I ordered it in March. / "
    "I had read nothing about it. / There was a long queue. / It was my birthday. / I used it for about a month."
)

CLOSERS: Final = _split(
    "That was in spring. / We were four people. / I am told it has changed since. / It is near the station. / "
    "Your mileage may vary. / We drove home after that. / I have no photos. / It came in grey. / "
    "The street was under repair. / I am writing this from memory. / We had a dog with us. / It lasted two hours."
)
