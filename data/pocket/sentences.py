"""The sentences of the pocket world's pages (data only; data/world.py does the telling).

An entry is a line, and an indented line continues the one above. The little grammar inside, as in
"[a|b]", "{fruit.s*3}" and "{p.name}", is explained at `say` in data/world_grammar.py, which also
turns "a" into "an" and gives sentences their capitals. p and q are people, h is the hero of a story
and f a friend, t and u are towns, c a creature, d a dish, b a book, i an invention, r a river.
"""
from data.pocket.words import rows

# ------------------------------------------------------------------------- encyclopedia sentences

PERSON_LEAD = rows("""
{p} ({p.years}) {p.was} a [|{praise} ]{p.trade} [from|of] {p.base}[| in {p.home.region}].
{p}, a {p.trade}[| of {p.home.region}], {p.was} [best known for|remembered for|famous for] {fame}.
{p} {p.was} a [|{praise} ]{p.trade}, born in {p.town} in {p.born}.
This page is about {p}, the {p.trade} [of|from] {p.base}.
To [many|most] people in {p.home.region}, {p} {p.was} simply the {p.trade}.
{p}, {p.trade} in {p.base}[| and friend of {folk.s}], {p.was} [known for|proud of] {fame}.
[Some|Many] people remember {p} ({p.years}) for {fame}, others for {p.his} {virtue}.
{p} ({p.years}), [a|the] {praise} {p.trade}, [worked|learned the craft|made a name] in {p.home}.
The {p.trade} {p} {p.was} [known|remembered] [in {p.home}|far beyond {p.home}|all over
  {p.home.region}] for {fame}.
Few people in {p.home} are [mentioned as often|praised as much|as well known] as {p}, the {p.trade}.
""")
PERSON_WORK = rows("""
As a {p.trade} {p.he} {p.trade.did}[| from dawn to dusk| from morning to night| for {12-40} years|
  in every season].
In {p.his} {p.trade.place} stood a {size} {furniture}, a {cond} {tool} and [always|usually] a {cup}
  of {drink}.
The {p.trade.place} [was|stood] {near} the {building}[|, and its door was never locked].
Visitors [admired|remembered] {p.his} {cond} {p.tool}[, which had belonged to {p.his} {elder}|].
{p.He} {p.trade.did}, [but|and] in the {season} {p.he} also repaired {tool.s} and {furniture.s}.
It {p.was} said that no {p.trade} in {p.home.region} worked more {well}.
{p.He} never sold {p.his} {p.tool}, [although|even when] a {folk} offered {20-90} {coin.s} for it.
The {p.tool} {p.he} used was made of {wood} and {metal}.
""")
PERSON_CHILDREN = rows("""
{p.He} and {p.spouse.given} had {children}.
Together they [had|raised] {children}.
{p.He} taught {children_names} [to {mend} {tool.s}|to swim|to read|the names of the {tree.s}].
""")
PERSON_LIKES = rows("""
Friends described {p.him} as {p.nature}[|, and so did the neighbours|, a word {p.he} did not like|,
  even on bad days].
{p.He} {p.was} a {p.nature} [{p.man} of few words|neighbour|friend]
  who [|{rarely} ]laughed at [{p.his} own jokes|{animal.s}|the weather].
A {animal} [slept|lived] in {p.his} {room}[|, under the {furniture}| and ate {food}].
""")
PERSON_ALIVE = rows("""
Today {p.he} lives in {p.base}[| with a {animal}| near the {building}|, in a house full of
  {tool.s}].
{p.He} still works in {p.base}[| every {day}|, {rarely} after {hour}].
{p.He} is [now |]{p.age} years old and [teaches young people|writes letters to {folk.s}|keeps
  {bird.s}].
""")
PERSON_LEGACY = rows("""
A {way} in {p.home} is named after {p.him}.
{p.His} {paper.s} [are kept|can be seen] in the {building} of {p.home}.
People in {p.home} still [tell|remember|laugh about] the story of the {p.trade} and the {cond}
  {trinket}.
A [small |]statue of {p.him}, made of {stone}, stands {near} the {building}.
[Children|Pupils] in {p.home} learn at school how {p.he} once [saved|lost|found] a {cond}
  {container}.
""")
FAME = rows("""
{p.his} {cond} {p.tool}
{p.his} {virtue}
{p.his} {virtue*2}
the way {p.he} told stories
{p.his} work during the {trouble}
{p.his} love of {animal.s}
{p.his} {colour} {garment}
""")

TOWN_LEAD = rows("""
{t} is {t.kind} in {t.region}[, on the {t.river}|].
{t}, [on the banks of|a place on] the {t.river}, is {t.kind} in {t.region}.
The [|{landish} ]banks of the {t.river} [are home to|carry] {t}, {t.kind} of {t.region}.
In {t.region}, [where the {t.river} bends|beside the {t.river}], lies {t}, {t.kind}.
""")
TOWN_LIFE = rows("""
On {day}s [farmers|traders|pedlars] sell {fruit.s}, {vegetable.s} and {goods} {near} the {building}.
The houses are built of {stone} and {wood}, and [their doors|the shutters] are painted {colour}.
The weather is {t.weather}.
In {season} the smell of {smell} [hangs over|fills] the {way.s}.
{animal.s} [sleep|wander|sit] {near} the {building}, and nobody [minds|chases them away].
The oldest {building} has a roof of [copper|slate|straw|tin|lead|red tiles] and {2-9}
  [windows|chimneys|doors].
A {disaster} in {1720-1890} destroyed the {building} and {20-90} houses[|, but not the {site}].
The school teaches [reading, counting and {subject}|{subject} as well as arithmetic].
[From|Behind] the {building} a {landish} {way} leads [down|up|across the fields] to the {land}.
People [there|in {t}] {rarely} eat {food} with {vegetable.s}[|, and drink {drink} with it].
The [harbour|market|station] opens at {hour} and [smells of {smell}|is never quiet].
[Winters|Summers] are {sky}[|, so most houses have a {size} {furniture} in the {room}].
[Tourists|Strangers] are {rarely} [told|warned] about the {noise} in the old {building}.
A {vessel} [|full of {goods} ]leaves for {u} every {day}.
The best view is from the {land}, [above|beyond|behind] the {tree.s}.
""")
TOWN_PEOPLE = rows("""
The {p.trade} {p} was born in {p.town} in {p.born}.
{p}, a [|{praise} ]{p.trade}, was born in {p.town}.
One of its [sons and daughters|children], the {p.trade} {p}, was born in {p.town} in {p.born}.
""")
TOWN_DISH = rows("""
[A local dish|The dish of the town] is {d}, which tastes {d.taste}.
The inns serve {d}[|, most of all in {d.season}].
{d} comes from {d.town}[| and is eaten {d.when}].
""")

CREATURE_LEAD = rows("""
The {c} is a {c.kind} [found|that lives] in the {c.habitat} of {c.region}.
[In the|Among the] {c.habitat} of {c.region} lives the {c}, a {c.colour} {c.kind}.
The {c} is a {c.kind} with {c.colour} {c.cover}[|, known only from {c.region}].
""")
CREATURE_LORE = rows("""
In {t} people say that a {c} {near} the house brings {virtue}.
[Farmers|Shepherds|Fishermen] near {t} [like|love|protect|welcome] it because it keeps away
  [mice|flies|slugs|bad dreams].
The name comes from an old word for {noise} or for {smell}.
A {folk} from {t} once kept a {c} in a {container}[|; it escaped after {2-9} days].
It [hides|sleeps] {near} {tree.s}, and its enemies are the {hunter} and the {raptor}.
The {p.trade} {p} [drew|painted|studied] it [|{well} ]for many years.
There is a {c} on the coat of arms of {t}.
It is [rare|common|protected] today[|, because so many {land.s} have been drained].
Its voice sounds like [a {noise} {tool}|a {cond} {instrument}|a door that needs oil].
""")

BOOK_LEAD = rows("""
{b} is a {b.genre} by {b.author}[|, printed in {b.year}].
In {b.year} the {b.author.trade} {b.author} published the {b.genre} {b}.
{b} is [the|perhaps the] [best-known|finest|strangest] work of {b.author}, a {b.author.trade} from
  {b.author.town}.
{b.author} wrote {b}, a {b.genre}, in {b.year}.
""")
BOOK_MORE = rows("""
It was written in {b.author.home}[|, in a {room} with {2-5} windows|, mostly {near} a {furniture}].
The first edition was bound in {colour} {cloth} and cost {2-30} {coin.s}.
Only {3-90} copies of the first edition [are left|survive]; one is in the {building} of {t}.
[Readers|Critics|Teachers] praised its {virtue}[|, but not its length].
A {folk} in {t} [complained|said] that it had too many {animal.s} and too little {virtue}.
One chapter [describes|explains] how to {mend} a {tool}.
The pictures show {bird.s}, {flower.s} and [a very {nature} {beast}|a {cond} {building}].
It was read aloud in {t} every {season} for many years.
The [last|first] sentence [mentions|is about] a {cond} {trinket}.
It [has been|was soon] translated into {2-14} languages.
The book is dedicated to {p}[ and to everyone who has {virtue}|, in thanks for {2-9} {container.s}
  of {fruit.s}|, who never read it].
Many children are called after its {nature} hero.
""")

DISH_LEAD = rows("""
{d} is a {d.method} from {d.town} in {d.town.region}.
{d} comes from {d.town}[|, where it is eaten {d.when}].
The cooks of {d.town} are proud of {d}, a {d.method} made with {d.main}.
""")
DISH_MORE = rows("""
It is made [of|with] {d.main}, [seasoned|flavoured] with {d.spice}[|, never with {herb}].
[It tastes|The taste is|Its taste is] {d.taste}.
It is eaten {d.when}, [usually|mostly] in {d.season}.
In {d.season} [every|almost every] inn in {d.town} serves it[| with {drink}|, in a {cond}
  {container}].
The secret is the {d.spice}, which must be [fresh|dried in the shade|added at the very end].
It takes {d.minutes} minutes to make[|, and much less to eat].
Some add {herb}, [others|but the old cooks prefer] {spice}.
A {folk} is said to have [invented|discovered] it during the {trouble} of {1700-1890}.
{p} [wrote|said] that no {food} could compare with it.
In {t} they make it with {fruit.s} instead, [which|and this] leads to quarrels.
[Guests|Visitors] get it in a bowl of {colour} {stone}.
It goes well with {food} and {drink}.
""")

RIVER_TEXT = rows("""
The {r} is a river in {r.region}, {r.length} kilometres long.
It rises in a {landish} {land} near {first} and flows [past|through] {places}.
In {season} its water is {colour}[| with clay|, and cold enough to hurt the {limb.s}].
Near {t}, [|old ]{tree.s*2} stand on both banks.
{vessel.s} [carry|bring] {goods*2} down the {r}.
[Anglers|Fishermen] catch trout and eels there, {rarely} before {hour}.
A bridge of {stone} crosses it at {first}[|; it has {3-12} arches].
In {1750-1940} the {r} flooded {20-300} houses and a {building}.
The {c} lives in the {c.habitat} of the same region.
Children learn to swim [under|near] the {building} of {t}.
A {landish} [path|road|towpath|track] follows the river for {5-60} kilometres.
An old song calls the {r} the {kin} of {r.region}.
""")

# ------------------------------------------------------------------------------------------- news

# Each event: headlines, first sentences, details. p and q are people, t and u towns, n a number.
NEWS = [
    (rows("""
{disaster} hits {t}
{t} after the {disaster}
Hundreds help after {disaster} in {t}"""), rows("""
A {disaster} [struck|reached|surprised] {t} [on {day} evening|before dawn on {day}|late on {day}].
After [two days|a night|a week] of {sky} weather, a {disaster} damaged {n} houses in {t}."""),
  rows("""
The roof of the {building} was [damaged|lost|torn open], but [nobody|no one] was [seriously |]hurt.
Families spent the night in the {building}, where {p} served {food} and {drink}.
The {way} to {u} is closed [until {day}|for {2-9} days|while workers clear the {tree.s}].
{2-40} {animal.s} were brought to safety by {vessel}.
The {t.river} [rose|fell] by {20-190} centimetres [in one night|within hours].
Neighbours arrived with {tool.s}, {tool.s} and {food}.""")),
    (rows("""
{t} gets a new {building}
New {building} for {t}
{building} opens in {t}"""), rows("""
[After {2-9} years of work|Earlier than planned|On {day}], a new {building} was opened in {t}.
{t} has a new {building}[|, built of {stone} and {wood}| at last]."""), rows("""
It cost {n} thousand {coin.s}, [a third|half|most] of which was given by {folk.s*2}.
The door is {colour}, the roof is of {metal}, and there is room for {30-400} visitors.
{p}, who cut the ribbon, [wore|forgot] a {colour} {garment}.
The old {building} [will become|is to be turned into] a {site}.
A {furniture} from the old {building} stands in the hall.
Children sang and [the mayor|a {folk}] played the {instrument}.""")),
    (rows("""
{c} seen near {t}
Rare {c} returns to {t.region}
Young {c.s} counted near {t}"""), rows("""
A {c}, [a rare guest|not seen for {5-40} years], was [watched|seen|photographed] near {t} [on|last]
  {day}.
[Pupils|Walkers|Two {folk.s}] from {t} have [found|counted] {2-60} {c.s} in the {land} [near|above]
  the town."""),
     rows("""
The {c}, a {c.kind}, lives in the {c.habitat} of {t.region}.
It [feeds on|eats] {c.diet}, {p} explained, and {c.habit}.
[Visitors|Walkers] are asked to stay on the {way} and to keep {animal.s} on a rope.
In {c.month} there may be {c.count} {c.young}.
A {folk} had [first taken|mistaken] it for a {animal}.
The {land} will be protected from {month} on.""")),
    (rows("""
{t.festival} draws crowds to {t}
{t} celebrates the {t.festival}
{sky} weather at the {t.festival}"""), rows("""
Thousands came to {t} for the {t.festival} [on {day}|this week|at the end of {t.month}].
The {t.festival} in {t} [began|ended] on {day} with music and {food}."""), rows("""
As every year in {t.month}, {t.custom}.
The first prize, a {metal} {trinket}, went to {p}, a {p.trade}.
There were stalls with {fruit.s}, {goods} and {food}.
{p} played the {instrument} until {hour}.
A {animal} [stole|ate] the {bake} of the mayor[, to the joy of the children|].
Next year the {t.festival} will have {2-9} more {vehicle.s} and a {instrument} band.""")),
    (rows("""
{u} loses to {t} in boat race
{t} wins the {t.river} cup
Close race on the {t.river}"""), rows("""
By {2-9} lengths, the rowers of {t} beat {u} on the {t.river} on {day}.
In {sky} weather cheered by {n} people, {t} won the race against {u}."""), rows("""
{p}, who steered, lost a {garment} but not {p.his} temper.
The {vessel} of {u} [hit|touched] a {tree} that was drifting in the water.
It was the {ordinal} victory for {t} in {5-20} years.
"We [rowed|trained] every morning before {hour}," said {p}.
The prize was a {cup} of {drink} and a {metal} {trinket}.
In the break a {instrument} band played for the crowd.""")),
    (rows("""
Price of {goods} [rises|falls] in {t}
{t} market: {goods} dearer, {fruit.s} cheap
Good year for {fruit.s} in {t.region}"""), rows("""
A {container} of {fruit.s} cost {3-19} {coin.s} at the market of {t} on {day}[|, {1-3} more than
  last week].
Traders in {t} report a [good|poor|surprising] year for {fruit.s} and {vegetable.s}."""), rows("""
The [dry|wet|late|early] {season} is [the reason|to blame], says {p}.
{goods*2} from {u} sold [well|badly|before noon].
[Farmers|Growers] have picked {20-900} baskets of {fruit.s} since {month}.
A {folk} bought {2-20} {tool.s} and a {animal}.
The {vegetable.s} are [smaller|bigger] than last year, but taste {taste}.
{t} is known for {t.product}, which kept its price.""")),
    (rows("""
{cond} {trinket} found in {t}
Workers find {container} under {building}
Puzzle of the {cond} {container}"""), rows("""
While digging {near} the {building} of {t}, workers found a {container} with {2-90} {trinket.s} in
  it.
A {folk} has found a {metal} {trinket}, [probably|perhaps] from {1500-1800}, in the {room} of a
  house in {t}."""), rows("""
{p}, a {p.trade}, was [asked|called] to [look at|examine] the {trinket.s}.
The {container} was wrapped in {cloth} and smelled of {smell}.
Beside it lay a {cond} {tool} and the bones of a {animal}.
[A {paper} in {t}|The museum in {u}] may [explain|tell] who hid it.
It will be shown in the {building} from {month} on.
Nobody knows [why|when] it was hidden there[|, but children have {3-9} explanations].""")),
    (rows("""
{p} receives honour in {t}
Medal for {p}
{t} thanks {p}"""), rows("""
The {p.trade} {p}[|, born in {p.town} in {p.born},] received [a medal|the freedom of the town] in
  {t} on {day}.
On {day} {t} thanked {p}, who is a {p.trade} in {p.home}, for {20-50} years of work."""), rows("""
"I only did what a {p.trade} has to do," said {p.given}.
The choir sang, and everybody had {food} with {drink}.
{p.He} {p.trade.does}, and {p.likes} {p.hobby}.
The speech of the mayor [lasted|took] {20-90} minutes and mentioned {virtue} {3-12} times.
A {kin} of {p.given} {gesture.ed} and wiped a tear from the eye.
The {p.tool} will be given to the museum one day, {p.he} {speak.ed}.""")),
    (rows("""
Missing {animal} comes home to {t}
{animal} travels from {t} to {u}
Odd traveller on the {vehicle} to {u}"""), rows("""
A {animal} that disappeared in {t} in {month} came back on {day}[, {nature} as ever|, thinner but
  well|].
Passengers on the {vehicle} from {t} to {u} found a {animal} under a {furniture} on {day}."""),
  rows("""
It belongs to {p}, who had looked for it [everywhere|for {2-9} weeks|in every {building}].
It [wore|carried] a {colour} ribbon and seemed {mood}.
A {folk} fed it with {food} and {fruit.s}.
It had crossed the {t.river} and a {landish} {land}.
"I knew the [eyes|voice] at once," {p.given} {speak.ed}.
The {animal} is now [asleep|resting] on a {nest}.""")),
    (rows("""
School in {t} studies {subject}
Pupils of {t} [learn outdoors|ask questions]
{subject}: the pupils of {t} find out"""), rows("""
The pupils of {t} have used the {season} to [study|understand|write a book about] {subject}.
In the school of {t}, {20-90} children [are learning|learn] {subject} with {tool.s} and
  {container.s}."""), rows("""
Their teacher {p} calls it a lesson in {virtue}.
They counted {n} {bug.s}, {n2} {bird.s} and one {beast}.
Each child wrote a {paper} about a {tree}.
"First [we made|there were] mistakes, then [we made|there were] fewer," said a pupil.
On {day} the parents may [see|try] everything in the {building}.
The best {paper} will be printed in {u}.""")),
]
NEWS_END = rows("""
More [is expected|will be known] on {day}.
The council of {t} will [meet|talk about it|decide] on {day}.
[Readers|Anyone] who can help should write to the {site} of {t}.
For {day}, {sky} weather is expected.
The last word belonged to a {folk}: "It could have been worse."
{p} promised to [come|try] again next year.
""")
QUOTES = rows("""
We have seen worse, and we have {food}
I have never seen so many {animal.s} in one {building}
It smelled of {smell}, and then it was quiet
Without {virtue} nothing of this would have been possible
Next time I shall bring a {tool} and a {size} {container}
My {elder} always told me to look {near} the {furniture}
It is a good day for everybody who likes {subject}
You cannot learn {virtue} from a book
Nobody believed me, not even my own {kin}
We shall need {tool.s}, {drink} and a little {virtue}
People will talk about it for years
There was more {noise} than at any fair
A {nature} {folk} is worth more than ten {nature} ones
""")

# ------------------------------------------------------------------------------ letters and diaries

GREETINGS = rows("""
Dear {q.given}
My dear {q.given}
Dear old friend
Dear {q.given} and everyone at home
Dearest {q.given}
""")
LETTER_OPEN = rows("""
Thank you for [your letter|the {container} of {food}|the {colour} {garment}], which [came|arrived]
  on {day}.
I am writing [at|from] the {furniture} in my {room}[|, and outside it is {sky}].
It is {sky} here in {t}, and [at last|for once] I have time to write.
You asked [how I live|what I do all day|about {t}], so here is [an honest|a long|a short] answer.
Forgive me that I have not written since {month}; [I was ill|there was so much to do|I lost your
  address].
[Two|Three|Four] {bird.s} are sitting [outside|in front of|below] my window, and they make me think
  of you.
""")
LETTER_NEWS = rows("""
On {day} I went to the {building} and {look.ed} at the {cond} {tool.s}.
My {kin} has bought a {vehicle}, [although|but] nobody in the family can drive it.
The {fruit.s} are ripe, and we have made {2-30} jars of jam.
I have [started|learned] to {mend} {furniture.s}, and my {limb} hurts.
{p}, the {p.trade}, [visited|helped] us and stayed for {food} and {drink}.
We saw a {c} near the {land}; it really {c.habit}.
I am reading {b} by {b.author}, and I {love} it [more|less] than I expected.
The {t.festival} here in {t} was [wonderful|loud|as {sky} as ever]: {t.custom}.
Yesterday a {animal} ran through the {room} and broke a {container}.
My {kin} and my {kin} have quarrelled about a {trinket}, and I try to stay [calm|polite|out of it].
I have lost my {trinket}; if you find it {near} your {furniture}, please [send it|keep it safe].
At the market I paid {2-19} {coin.s} for a {garment} of {cloth}, which was too much.
The new {folk} next door plays the {instrument} [from {hour} on|every night|surprisingly well].
I cooked {d}, and it tasted [almost |]as {taste} as at home.
Last night there was a {noise} sound in the {room}, but it was only the {animal}.
The {tree} {near} the house fell in the storm, and now the {room} is full of light.
I walked along the {t.river} until {hour} and thought about {subject}.
My {limb} is better, and the doctor is [content|hopeful|surprised].
The children have built a {toy} out of {wood} and {cloth}.
I dreamed that I was a {beast} and lived in a {container}.
We have a new {animal}, {size} and [lazy|shy|friendly|clever|wild|noisy]; it sleeps on the {nest}.
I am learning to play the {instrument}, and the neighbours are [kind|patient|very polite|cross]
  about it.
There is a rumour that the {building} will be sold to a {folk} from {u}.
I planted {flower.s}, {flower.s} and one {tree}.
""")
ASIDES = rows("""
Did you know?
Here is something for your {kin}.
I copied this for you from a {paper}.
My {kin} told me something.
We had a quarrel about this, and I looked it up.
I have learned something [today|this week|since {day}].
[We talked|They talked] about it {near} the {building}.
""")
LETTER_ASK = rows("""
How is your {kin}, and does the {animal} still sleep on the {nest}?
Have you finished the {garment}, or did you run out of {cloth}?
Could you send me [the recipe for {d}|a little {spice}|{2-9} {tool.s}]?
Is it true that {p} has moved to {u}?
When will you come? In {month} the {land} is full of {flower.s}.
Do you remember the {cond} {vessel} and the day we fell into the {t.river}?
Please bring your {instrument}; mine is broken.
Tell me [everything|more] about the {trouble} and the {building}.
""")
LETTER_END = rows("""
Stay [well|healthy|cheerful], and write soon.
I must stop now, because the {drink} is getting cold.
The post leaves at {hour}, so I shall close.
With this I send you a pressed {flower} and all good wishes.
My {kin} sends you greetings, and so does the {animal}.
""")
SIGNED = ["Yours", "With love", "Your friend", "As ever", "Warm greetings", "Yours truly", "Always"]
DIARY_OPEN = rows("""
{sky} since {hour}.
A {sky} day.
Woke at {hour} because of a {noise} noise.
[Slept badly|Slept well|Dreamed of {animal.s}].
Up before {hour}; {drink} and {food}.
""")
DIARY_END = rows("""
Tomorrow I must {mend} the {tool}.
[Tired|{mood}] now; the candle is nearly finished.
Note to myself: more {virtue}, less {food}.
I shall sleep well tonight.
Perhaps tomorrow will be less {sky}.
Spent today: {2-30} {coin.s}.
""")

# ------------------------------------------------------------------------------------------ forum

# title | question | answers
PROBLEMS = [tuple(part.strip() for part in row.split("|")) for row in """
My bread does not rise | I wait for hours and the dough stays flat. | Your water may be too hot,
  and heat
  kills the yeast. | Put the bowl in a warmer place, near the stove but not on it. | How old is
  your yeast? Stir a
  spoonful into warm water with sugar; if there is no foam, buy new yeast. | Too much salt slows it
  down.
A door that sticks in winter | It closes easily in summer and not at all when it rains. | Wood
  swells when the
  air is damp. Plane a little off the edge. | Rub the edge with a candle; wax helps it slide. |
  Wait for a dry week
  and then paint it, so that the water stays out. | Check the hinges first, a loose screw lets the
  door hang.
Leaves of my tomatoes turn yellow | Only the lower leaves, but more every day. | Do you water too
  much? Roots need
  air as well. | Old leaves turn yellow when nitrogen is missing; give them compost. | Let the soil
  dry a finger
  deep before you water again. | Pick off the yellow leaves, so that no fungus can spread.
A clock that runs slow | It loses about five minutes a day. | A pendulum that is too long swings
  too slowly. Raise
  the weight a little. | Dust in the oil is the usual reason; have it cleaned. | In summer metal
  grows longer,
  therefore many clocks lose time. | Does it stand level? Put a coin under one side and listen to
  the beat.
How do I keep mice out of the larder? | They have found the oats again. | Close every hole wider
  than a pencil.
  | Keep oats and flour in tins or jars, because mice chew through sacks. | Get a cat, or borrow
  one. | Do not leave
  crumbs on the floor at night.
Knife will not stay sharp | I sharpen it and a week later it is blunt. | Never cut on stone or
  glass; wood is kinder
  to the edge. | Your angle may be too narrow. Raise the back of the blade a little. | Finish on a
  leather strap to
  remove the burr. | Do not throw it into a drawer with the spoons.
Is rain water good for plants? | My aunt swears by it. | Yes, it contains little lime, and most
  plants like that.
  | Collect it in a barrel with a lid, otherwise mosquitoes lay their eggs in it. | It is as warm
  as the air, so the
  roots do not get a shock. | After a long dry time, let the first rain wash the roof.
My fiddle sounds dull | It was bright last year. | Old strings lose their voice; change them. |
  Wipe off the dust of
  the rosin after playing. | Damp air makes the wood heavy, so keep it in a dry room. | Let
  somebody check whether the
  bridge stands straight.
How do I learn to swim as an adult? | I am afraid of deep water. | Start where you can stand, and
  learn to breathe
  out under water. | Float on your back first; the body carries itself better than you believe. |
  Go with a patient
  friend, never alone. | Short lessons every day are better than a long one every month.
Milk boils over again and again | I look away once and it happens. | Rinse the pan with cold water
  before you pour
  in the milk, so it will not burn. | Lay a wooden spoon across the pan; it breaks the bubbles. |
  Use a bigger pan and
  a smaller flame. | The skin traps the steam, so keep stirring.
Which wood burns longest? | I have a small stove and a cold house. | Oak and beech burn slowly,
  pine burns fast.
  | Whatever you take, dry it for two years. | Wet wood wastes its heat on boiling away the water.
  | Pine is good for
  lighting the fire, because of the resin.
Cannot fall asleep | I lie awake and count the hours. | Get up at the same time every day, even on
  Sundays. | No coffee
  after noon. | A dark and cool room helps more than a soft pillow. | Write your worries on paper
  and leave them there.
How can I remember names? | I forget them at once. | Say the name aloud when you hear it. | Link it
  to a picture,
  the sillier the better. | Write down three names every evening. | Ask again; nobody is offended
  by an honest question.
Ink stain on a white shirt | It happened an hour ago. | Do not rub; press a cloth on it to draw out
  the ink. | Milk
  helps with fresh ink, soak it overnight. | Lemon juice and salt, and then sunshine. | Test any
  cure on the hem first.
The well smells bad | The water was clear before. | Do not drink it before somebody has tested it.
  | Look whether
  leaves or an animal have fallen in. | Boil the water in the meantime. | A cover would have
  prevented it.
Teaching a puppy to come | It hears me and runs away. | Reward it every time it comes, even when it
  comes late.
  | Never call it to scold it. | Practise indoors first, where there is nothing more exciting than
  you. | Run away from
  it, and it will follow.
Boots that leak | I bought them a year ago and the seams are wet. | Rub warm wax into the seams. |
  Dry them slowly, stuffed
  with paper, never beside the fire. | A shoemaker can sew them again for little money. | Grease
  keeps leather soft, so
  it does not crack.
Why is my soup too salty, and can I save it? | Guests come in an hour. | Add water and more
  vegetables. | Cook a peeled
  potato in it; it does not drink the salt, but it stretches the soup. | A spoon of cream softens
  the taste.
  | Next time add the salt at the end.
Starting with bees | I have a garden and no experience. | Spend one season helping a beekeeper
  before you buy a hive.
  | Put the hive where the morning sun reaches it. | Move slowly and they will be slow as well. |
  Leave them enough
  honey for the winter.
How to read a map? | I turn it round and round. | Lay it so that north on the map points to the
  north. | Find two things
  you can see, such as a tower and a bridge, and look for them on paper. | Where the lines of
  height are close together, the
  slope is steep. | Check the scale before you promise to be home for supper.
""".replace("\n  ", " ").strip().splitlines()]
REPLIES_FIRST = rows("""
[I had the same problem|The same happened to me] [last {season}|with my {kin}|in {t}].
Welcome! {nature} question.
[My {elder}, a {p.trade}, always said|An old {folk} told me]:
I am only a {folk}, but [listen|here is my view].
Do not [worry|give up|buy a new one].
[Easy|Good question|Hello from {t}].
It [depends|took me {2-9} years to understand this].
""")
REPLIES_THANKS = rows("""
Thank you all! I [tried it|did as you said] [on {day}|at once], and it [works|worked|helped].
Thanks. It is not perfect, but I am {mood} with it.
You are wonderful. A {cup} of {drink} for everybody!
I [tried|followed] the [first|second|last] answer. My {kin} is {mood} again.
Solved! I would never have thought of that.
It helped [a little|more than I expected]. I shall [write again|report] in {month}.
""")
ASKED = rows("""
wrote[| on {day}| at {hour}| from {u}| last {season}]
asked[| on {day}| late at night| last {season}]
has a question
""")
WROTE = rows("""
wrote
wrote [on {day}|at {hour}|from {u}|a week later]
replied[| on {day}| after {2-9} hours]
[added|said|answered]
""")
FORUM_ASIDES = rows("""
I have this from a neighbour of {p}.
This reminds me of somebody who [lives|lived] here in the region.
Off topic, but since {p} was mentioned:
For those who do not come from here, some background.
The guide for travellers says this about the place and the people.
My {kin} is writing a school paper and found this.
""")
FORUM_CHAT = rows("""
This is the best thread about {subject} [this week|I have read].
Off topic: does anybody sell a {cond} {tool}?
My {animal} agrees.
[Be {nature}|Please stay polite], everyone.
In {u} we do it in the same way.
I would add a {tool} and some {virtue}.
Same here.
""")
