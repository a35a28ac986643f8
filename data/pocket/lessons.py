"""What the pocket world explains and teaches: true of the real one, too (data only)."""

from data.pocket.words import rows

# ------------------------------------------------------------------------------------ explanations

# How things are in the real world, one topic an entry: the question, then sentences in their order.
TOPICS = [(block[0], block[1:]) for block in (rows(text) for text in """
Why does rain fall?
[The sun warms|Sunlight heats] the sea, the lakes and the [wet ground|rivers], and some of the
  water becomes vapour.
[Vapour is a gas that nobody can see|You cannot see vapour], and it rises with the warm air.
High [above us|in the sky] the air is cold, and cold air [holds|can carry] less vapour.
So the vapour turns into [tiny drops|droplets], which we see as a cloud.
The drops [bump together|join] and grow until they are too heavy [to float|for the air to carry].
Then they fall as rain, or as snow if it is cold enough.
The water [flows|runs] back to the sea, and the journey begins again.
===
How does bread rise?
Bread dough [contains|has in it] yeast, a very small living thing that can only be seen through a
  microscope.
Yeast [eats|feeds on] the sugar in the flour and gives off a gas, carbon dioxide.
Flour and water, when kneaded, form [long elastic threads called gluten|an elastic net].
The net [catches|traps] the bubbles of gas, so the dough [swells|grows|puffs up].
Warmth makes yeast [quick|lively], cold makes it slow, and great heat kills it.
In the oven the bubbles [expand|grow once more], and then the crust becomes firm.
That is why a slice of bread is full of [small holes|holes of every size].
===
How does a lever work?
A lever is a stiff bar that turns on a fixed point, [called the fulcrum|the fulcrum].
If you push [far from|a long way from] the fulcrum, a small force can lift a heavy load close to it.
The price is distance: your end moves [a long way|far] while the load moves only a little.
A seesaw, [a crowbar and a pair of scissors|a bottle opener and an oar] are levers.
A child who sits twice as far from the middle balances a grown person of twice the weight.
[Force times distance|Weight multiplied by distance] is the same on both sides when a lever
  balances.
===
Why are there seasons?
The earth travels around the sun once [a year|in about 365 days].
Its axis is tilted, so for half of the year the north leans towards the sun and for the other half
  the south.
When our half leans towards the sun, days are long and the sun stands high, and we have summer.
When it leans away, days are short and the light [comes in at a low angle|is spread over more
  ground], and it is winter.
Spring and autumn lie between, when day and night are [about|nearly] equal.
It is not because the earth comes closer to the sun: while it is winter in the north, it is summer
  in the south.
===
What is a map?
A map is a picture of a place [as a bird sees it|from above], drawn much smaller.
The scale [tells|says] how much smaller: one centimetre may stand for one kilometre.
On most maps north is at the top, [so|and] east is on the right and west on the left.
Signs stand for things: [a blue line for a river|a cross for a church], a dotted line for a path.
Lines that join places of the same height show hills; where they are crowded, the ground is steep.
No flat map of the round earth can be quite right, [since a curved skin cannot be pressed flat
  without stretching|so every map
  bends something].
===
How do bees make honey?
Bees [visit|fly to] flowers to drink nectar, which is mostly water and sugar.
A bee carries the nectar home in a special stomach.
In the hive it passes the nectar to other bees, [from mouth to mouth|one after another], and the
  sugars change.
The bees put it into cells of wax and fan it with their wings until most of the water is gone.
Then it is honey, and they [seal|close] the cell with a lid of wax.
Honey is their food for the winter, when no flowers bloom.
While they collect, bees carry pollen from flower to flower, and so fruit can grow.
===
Why do leaves change colour in autumn?
Leaves are green because of chlorophyll, which catches sunlight [to make sugar|for the plant].
In autumn the days become short [and cold|], and the tree stops making chlorophyll.
The green fades, and yellow and orange colours that were always there can be seen.
Some trees make a red colour as well, [especially|above all] when days are sunny and nights are
  cool.
A layer of cork grows between leaf and twig, and [at last|in the end] the leaf falls.
Without leaves the tree saves water in winter, when the roots can hardly drink.
===
Why does the moon change its shape?
The moon does not shine by itself; it [reflects|throws back] the light of the sun.
Half of it is always lit, but we do not always see the lit half.
When the moon stands between us and the sun, its dark side faces us: that is new moon.
About two weeks later it stands opposite the sun, and we see a full moon.
In between we see a [crescent|thin sickle] or a half moon.
From one full moon to the next it takes about twenty-nine and a half days.
===
How do we count?
People have ten fingers, and [so|perhaps therefore] most of us count in tens.
In the number 352, the 2 means two ones, the 5 five tens and the 3 three hundreds.
The place of a digit decides what it is worth: [moving one place to the left makes it ten times
  bigger|each place to the
  left is worth ten times more].
Zero [keeps an empty place open|shows that a place is empty], so that 305 is not mistaken for 35.
With only ten signs, we can write any number, however large.
Before that people used [knots, notches and pebbles|marks on bones and bundles of sticks], one for
  each sheep.
===
Why does ice float?
Most things shrink when they freeze, but water [is different|does the opposite]: it swells.
In ice the smallest parts of water are ordered in a wide pattern with [much empty room|gaps]
  between them.
Therefore a bucket of ice weighs less than a bucket of water, and what weighs less [for its size|]
  floats.
About nine tenths of an iceberg are under the water.
Because ice floats, a lake freezes from the top, and fish live through the winter [below|in the
  water beneath].
It is also the reason why a full bottle may [burst|crack] in the frost.
===
How does a sail move a boat?
When the wind blows from behind, it simply pushes [the sail|the cloth] forward.
When it comes from the side, the curved sail turns the wind, and the wind pushes back on the sail.
A keel under the boat keeps it from sliding sideways, so [most of|] the push becomes forward motion.
No boat can sail straight into the wind; sailors go in zigzags, which is called tacking.
The stronger the wind, the smaller the sail a careful sailor sets.
===
Why is the sea salty?
Rain [dissolves|washes] small amounts of salt out of rocks.
Rivers carry the salt to the sea, too little of it for us to taste.
The sun lifts water from the sea, but the salt [stays behind|remains].
This has gone on for hundreds of millions of years, so the salt has gathered.
A litre of sea water holds about thirty-five grams of salt.
[In lakes without an outlet the same happens|Lakes from which no river flows become salty as well].
===
What is sound?
Sound begins when something [shakes|trembles] quickly: a string, a bell, the skin of a drum.
It pushes the air beside it, and that air pushes the next, so a wave runs outward.
When the wave reaches the ear, a thin skin in it trembles too, and we hear.
Fast trembling makes a high note, slow trembling a low one.
Sound travels about 340 metres in a second, [far slower than light|much more slowly than light].
Therefore we see lightning first and hear the thunder later: three seconds mean about one kilometre.
Where there is no air[, as on the moon,|] there is no sound.
===
How do plants eat?
Plants do not hunt for food, they make it [themselves|from air, water and light].
Roots drink water from the soil, with small amounts of minerals.
Leaves take in carbon dioxide through tiny openings.
With the power of sunlight the leaf turns both into sugar, and oxygen is left over.
We breathe that oxygen, [and so do all animals|as animals do].
In the dark a plant cannot make sugar, so a plant in a cupboard [becomes pale and dies|starves].
===
Why do we sleep?
While we sleep, the body rests and repairs [small damage|itself].
The brain is not idle: it sorts what happened during the day and keeps what seems important.
That is why we often remember a lesson better after a good night.
Children grow in their sleep and need more of it than [grown people|adults], often ten hours.
Too little sleep makes people slow, cross and [clumsy|forgetful].
Light in the evening tells the body that it is still day, so a dark room helps.
===
How does a magnet work?
A magnet pulls iron, nickel and cobalt, but not wood, [glass or copper|gold or paper].
Every magnet has two ends, a north pole and a south pole.
Different poles attract each other, and like poles push each other away.
Inside the iron countless tiny magnets point in the same direction; in plain iron they point
  everywhere.
If you break a magnet in two, each piece has [again|] both poles.
The earth itself is a weak magnet, and so the needle of a compass points north.
===
How is paper made?
Most paper is made of wood, [though|but] rags and grass will also do.
The wood is cut into chips and cooked until only soft fibres are left.
The fibres float in a great deal of water, like a thin soup.
When the soup is poured over a fine sieve, the water runs off and the fibres [lie across each
  other|tangle].
The wet sheet is pressed, dried and rolled smooth.
Old paper can be stirred into water and used again [several|about six] times, until the fibres are
  too short.
===
Why do we have to boil jam?
Tiny living things, moulds and bacteria, are [everywhere|on every fruit].
Heat kills most of them, and a hot clean jar with a lid keeps others out.
Sugar binds the water in the fruit, and without water moulds cannot grow.
Fruit also contains pectin, which makes the jam set when it is cooked with sugar and [acid|lemon
  juice].
An open jar should be kept cool, [because|since] new spores fall in whenever it is opened.
===
How do birds fly?
A bird has hollow bones and light feathers, so it weighs [little|less than it seems].
Its wings are curved, and the air that flows over and under them lifts the bird.
With strong muscles in the breast it beats the wings down and backward.
The tail helps to steer and to brake.
Large birds save strength by gliding on warm air that rises over [sunny fields|the land].
Not all birds fly: [some run, and some swim instead|ostriches run and penguins swim].
===
Why does the wind blow?
The sun does not warm the ground evenly: [sand becomes hotter than water|dark fields become hotter
  than lakes].
Warm air [is lighter and rises|becomes light and goes up].
Cooler air flows in from the side to take its place, and this flow is wind.
By day the land is warmer than the sea, so the wind [often|] comes from the sea; at night it turns.
The greater the difference in pressure, the stronger the wind.
===
What is a fraction?
If a cake is cut into four equal parts, each part is a quarter, written 1/4.
The number below says into how many parts the whole is cut, and the number above how many of them
  we take.
Two quarters are as much as one half, [for|because] 2/4 and 1/2 are the same amount.
The more parts we cut, the smaller each of them: an eighth is less than a [sixth|fifth].
To add fractions, the parts must have the same size: [one quarter and two quarters make three
  quarters|two fifths and one
  fifth make three fifths].
===
How does a wheel help?
To drag a heavy box over the ground is hard, because [the two rub together|of friction].
A wheel rolls, so that hardly anything rubs except the axle, and the axle can be greased.
A large wheel rolls over [stones and holes|bumps] more easily than a small one.
With teeth, wheels become gears: a small gear has to turn many times while a large one turns once.
A rope over a wheel is a pulley; it lets us pull down in order to lift something up.
===
Why must we wash our hands?
On our hands live [thousands|millions] of bacteria, too small to be seen.
Most of them are harmless, but some make us ill when they [get into|reach] the mouth or a wound.
Water alone does not remove them, because they stick to the grease on the skin.
Soap [has two ends|is made of parts with two ends]: one holds on to grease, the other to water.
So dirt and bacteria are lifted off and washed away.
It takes about twenty seconds to do it well, [between the fingers as well|thumbs included].
===
How do volcanoes work?
Deep in the earth it is so hot that rock [melts|becomes liquid].
Melted rock is lighter than the solid rock around it, so it rises [slowly|].
Gases are dissolved in it, like the bubbles in a closed bottle of lemonade.
Near the surface the pressure falls, the gas escapes, and the volcano [erupts|breaks out].
What flows out is called lava; when it cools, it becomes hard and dark.
After many years the ash turns into very good soil.
===
Why can we see a rainbow?
Sunlight looks white, but it is a mixture of [many|all] colours.
When light enters a drop of water, it bends, and each colour bends a little differently.
It is thrown back from the far side of the drop and leaves it spread out into colours.
We see red from drops that stand higher and violet from lower ones, so red is on the outside of the
  bow.
To find a rainbow, stand with the sun behind you and the rain in front of you.
Two people never see quite the same rainbow, [since each eye meets other drops|as it depends on
  where they stand].
===
What does money do?
Without money, a baker who wants shoes must find a shoemaker who wants bread.
With money the baker [sells bread to anyone|can sell to anybody] and buys shoes later.
Money also lets us compare: a chair may cost as much as forty loaves.
And it can be kept, while fish and bread [go bad|cannot].
It works only as long as people [trust it|believe that others will take it].
If there is much more money but not more bread, prices rise.
===
How does the heart work?
The heart is a muscle about as big as a fist.
It has two halves, each with [two rooms|two chambers], and doors that open only one way.
The right half pumps blood to the lungs, where it takes up oxygen.
The left half pumps it through the [whole|rest of the] body.
A grown person's heart beats about seventy times a minute at rest, and faster when we run.
You can feel the beat at the wrist; [that is called the pulse|this is the pulse].
===
How do locks on a canal work?
A canal cannot climb a hill, so boats are lifted step by step in locks.
A lock is a chamber with a gate at [each|either] end.
A boat enters at the bottom, and the lower gate is closed behind it.
Then water is let in from above, and the boat rises [with it|] like a cork in a bath.
When the water is as high as the canal above, the upper gate opens, and the boat moves on.
No pump is needed: the water always flows downhill.
""".split("===\n"))]
TOPIC_OPEN = rows("""
[Children|Pupils|People] in {t} often ask this question, and the answer is [simple|not hard].
[A {folk}|My {kin}|{p}, a {p.trade},] once asked me this {near} the {building}.
Look at a {cup} of {drink}, or at the {land} on a {sky} day, and you may wonder about it.
It seems [a simple|an easy] question, but it took people a long time to answer it.
Here is a [short|simple] explanation for curious {folk.s}.
The next time you sit {near} a {furniture}, think about this.
[Everyone|Even a {folk}] has seen it, but few can explain it.
""")
TOPIC_LINK = rows("""
[Step by step|In other words|Let us go on]:
[And now|This is] the important part.
[Imagine|Think of] a {container} full of {fruit.s} if it helps.
You do not need {tool.s} for this, only [a little |]{virtue}.
Here it becomes interesting.
""")
TOPIC_END = rows("""
[Try|Watch] it yourself, with a {container} and a little {virtue}.
So a {folk} in {t} and a {folk} in {u} see the same thing, for the same reason.
[If|When] somebody asks you now, you can explain it, even to a {animal}.
{p}, the {p.trade}, used to say that {virtue} begins with a question.
That is all: no magic, only nature.
There is more to say, but that is another lesson.
[Draw|Write] it on a sheet of paper and explain it to your {kin}.
""")

# ------------------------------------------------------------------------------------------ lessons

LESSON_OPEN = rows("""
[Take|Bring] a {tool}[, a sheet of paper|] and a sharp pencil.
In the school of {t} this is done {well} and without hurry.
{p}, a {p.trade}, needs this every {day}.
[We|Let us] work it out step by step.
Nobody has to be [quick|clever]; it is enough to be careful.
On the blackboard stands a new [task|problem].
A {nature} pupil asked how to do it[, and here is the way|].
You can do this with {fruit.s}, with {trinket.s} or on paper.
""")
LESSON_REMARKS = rows("""
[Anyone|A {folk}] who has counted {fruit.s} on a market stall knows this way of thinking already.
It does not matter whether we count {coin.s} or {vegetable.s} or the days until the next holiday.
We take one small step after the other and write each of them on its own line.
[A pupil|Somebody] who understands this step will understand the others without any trouble.
The teacher in {t} lets the whole class say this aloud before anyone picks up a pencil.
Look at it for a moment and try to find the next step before you read it here.
Keep the numbers neatly under one another so that none of them can lose its way.
Some people do this in their heads while they wait for the {vehicle} to {u}.
If it seems too quick then lay out {fruit.s} on the {furniture} and push them into groups.
There is more than one way to do it but this one is easy to remember.
My {kin} used to do it with chalk on the door of the {building}.
It is the same kind of step that a {folk} takes when the bill has to be right.
We could also draw it as a row of little dots and count them one by one.
[Do not worry|Nobody minds] if it takes a while because slow work is often right the first time.
""")
LESSON_READ = rows("""
For reading practice [we copy this page|here is a short text|here is a page from the almanac].
Now [close|put away] the exercise book and read aloud what follows.
The second half of the lesson is reading and writing.
Read this [twice|aloud] and then tell it in your own words.
[Copy|Write down] these sentences in your best hand.
The pupils of {t} read this text on the same {day}.
""")
LESSON_END = rows("""
[Check|Test] it with {fruit.s} if you do not believe it.
[Now|Next] try one with your own numbers.
A {folk} who can do this will not be cheated at the market of {t}.
If you made a mistake, begin again with the first step; {virtue} helps.
Say it aloud to a {animal}, and you will remember it.
[Good|Well done]. Tomorrow we shall do a harder one.
""")

# Questions about the world: title, question, true answers.
FACT_THREADS = [rows(text) for text in """
Where was {p} born?
I am [writing|preparing] a talk about the {p.trade} {p} and [cannot find|have lost] the birthplace.
{p} was born in {p.town}[, in {p.born}|].
[It was|The answer is] {p.town}, in {p.town.region}. {p.He} worked in {p.home}.
In {p.town}; [my {kin} lives there|the year was {p.born}|everybody there will tell you].
[A {paper} in the {building} says|I have read] that {p} was born in {p.town}.
===
What does a {c} eat?
I found a [young |]{c} {near} my {building}, and it looks {mood}.
[Mostly|Above all] {c.diet}. In bad times also {c.diet2}.
A {c} is a {c.kind}, so it needs {c.diet}, and a place like {c.habitat}.
Please [take|carry] it back. It lives in the {c.habitat} of {c.region}.
Do not keep it in a {container}. It {c.habit}, and for that it needs room.
===
Who wrote {b}?
My {kin} [read it to me|told me about it] when I was {5-12}, and I have forgotten the author.
{b} is by {b.author}.
{b.author} wrote it in {b.year}. It is a {b.genre}, is it not?
The author is {b.author}, a {b.author.trade} from {b.author.home}.
Is that the {b.genre} that {b.plot}? Then it is by {b.author}.
===
Is {t} worth a visit?
We have {2-9} days in {month}, a {vehicle} and [no plan|little money].
[Yes|Certainly]! There is {t.landmark}.
Go in {t.month}, for the {t.festival}: {t.custom}.
{t} is {t.kind} on the {t.river}. One day is enough, [but a good one|two are better].
Buy {t.product} there; nobody makes it better.
The weather is {t.weather}, so bring a {garment}.
It has {t.people} inhabitants and [one|no] good inn. Ask for a room {near} the {building}.
===
How do you make {d}?
I ate it in {d.town}, {d.when}, and I [dream of it|want to cook it for my {kin}].
You need {d.main}. The {d.spice} comes [last|at the end].
It is a {d.method} and takes about {d.minutes} minutes.
It should taste {d.taste}; if it does not, add more {d.spice}.
[In {d.season} it is best|Wait until {d.season}], when the market has good {d.main}.
===
Was {p} really the best {p.trade} of {p.home.region}?
[We|My {kin} and I] have been [arguing|talking] about it since {day}.
{p}, [of course|without doubt]. Nobody else {p.trade.did} so {well}.
You cannot compare such people. {p} was {p.nature}, and worked in {p.home}.
I only know that {p.given} liked {p.hobby}[|, and so do I].
There was {virtue} in everything {p.he} did. The rest is a matter of taste.
""".split("===\n")]
