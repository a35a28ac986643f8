"""How users ask the assistant for facts of the pocket world, and the sentences that answer (data
only; data/talk_world.py does the talking).

Each relation of world_facts.RELATIONS has four lines: what it is called; the same as a clause;
questions; the sentence that answers, which names first what one searches for. In it the subject's
name stands after another word, as it does in most questions, so that its tokens are the same. {n},
{m} and {ns} are as in data/world_tellings.py: the name, or in a later question a pronoun. The
frames make of every name and every clause some thirty wordings, so that one which was never seen is
understood.
"""
from data.pocket.tellings import topics
from data.pocket.words import rows

ASKING = {"person": topics("""
= birthplace
[birthplace|place of birth|native town|home by birth]
[where|in which town|in what place] {n} was born
[Where|In which town|In what town] was {n} born?[| I mean the town.]
The birthplace of {n} is {p.town}.
= born
[year of birth|birth year|year when life began]
[when|in which year|in what year] {n} was born
[When|In which year|In what year] was {n} born?
The year of birth of {n} is {p.born}.
= died
[year of death|death year|last year of life]
[when|in which year|in what year] {n} died
[When|In which year|In what year] did {n} die?
The year of death of {n} is {p.died}.
= trade
[trade|profession|occupation|job|work]
[what {n} did for a living|as what {n} worked|how {n} earned a living|how {n} made a living|which
  trade {n} had|what {ns} job was|how {n} earned money|as what {n} made
  money|by what job {n} made a living]
[What did {n} do for a living|What work did {n} do|As what did {n} work|What was {ns} job|Which
  job did {n} do|How did {n} earn money|With what job did {n} make money|{n} had a trade. Which]?
The trade of {n} is that of a {p.trade}.
= home
[home|home town|place of work|place of residence]
[where {n} lived|where {n} worked|in which town {n} lived|in which town {n} worked]
[Where did {n} live|Where did {n} work|Where was {ns} {p.trade.place}|In which town did {n} live]?
The home of {n} is {p.base}.
= spouse
[{p.partner}|spouse|partner in marriage]
[who {ns} {p.partner} was|whom {n} married|to whom {n} was married|who stood beside {m} at the
  altar]
[Who did {n} marry|Whom did {n} marry|To whom was {n} married|With whom did {n} share a home|With
  whom did {n} go to the altar|{n} was married. Who was the {p.partner}|{n} found a {p.partner}.
  What was the name]?
The {p.partner} of {n} is {p.spouse}.
= wedding
[year of marriage|wedding year|wedding date|year of the wedding]
[when|in which year|in what year] {n} [married|got married]
[When|In which year|How far back] did {n} [marry|get married|have the wedding]?
The year of marriage of {n} is {p.wedding}.
= mother
mother
[who {ns} mother was|which woman was {ns} mother|whose {p.child} {n} was, on the mother's side|to
  which woman {n} was born|who gave life to {m}|who bore {m}]
[Who was {ns} mother|What was {ns} mother called|Which woman brought up {m} as a mother|Who gave
  life to {m}|{n} had a mother. What was she called]?
The mother of {n} is {p.mother}.
= father
father
[who {ns} father was|which man was {ns} father|whose {p.child} {n} was, on the father's side|which
  man {n} had as a father]
[Who was {ns} father|What was {ns} father called|Which man had {m} as a {p.child}|{n} had a father.
  What was he called]?
The father of {n} is {p.father}.
= teacher
[teacher|master|instructor|trainer]
[who taught {m}|who {ns} teacher was|from whom {n} learned the trade|whose apprentice {n} was]
[Who taught {m}|From whom did {n} learn|Who showed {m} the trade|Under whom did {n} train|{n} had a
  teacher. Who was it|{n} was somebody's apprentice. What was the master's name]?
The teacher of {n} is {p.teacher}.
= hobby
[hobby|pastime|free-time pleasure|favourite pastime]
[what {n} liked to do in free hours|what {ns} hobby was|how {n} spent free time|what {n} did for
  pleasure|what {n} liked to do when the work was done|what was fun for {m}|what {n} did on days
  without work]
[What did {n} enjoy after work|What did {n} do in free time|How did {n} relax|How did {n} have
  fun|What did {n} like to do for pleasure|What did {n} do just for fun|{n} had a hobby. What
  was it|There is no work today. What would {n} like to do]?
The hobby of {n} is {p.hobby}.
= dish
[favourite dish|favourite food|favourite meal|best-loved dish]
[what {n} liked to eat|which dish {n} liked best|what {n} ate with the greatest pleasure]
[What did {n} like to eat|Which dish did {n} love|What food would please {m}|What would {n}
  eat|What could one cook for {m}|Which dinner would {n} like|{n} was hungry. What was served]?
The favourite dish of {n} is {p.dish}.
"""), "town": topics("""
= region
[region|part of the country|surrounding region]
[in which region {n} lies|where {n} is|to which region {n} belongs]
[Where is {n}|In which region is {n}|Which region has {n} in it]?
The region of {n} is {t.region}.
= river
[river|stream|water]
[on which river {n} lies|which river flows past {m}|what {ns} river is called]
[Which river is {n} on|What river flows through {m}|Which river does {n} have]?
The river of {n} is the {t.river}.
= founded
[year of foundation|founding year|founding date|first year]
[when {n} was founded|in which year {n} was founded|since when {n} has existed]
[When was {n} founded|In which year was {n} founded|When did people found {m}|How old is {n}]?
The year of foundation of {n} is {t.founded}.
= population
[population|number of inhabitants|size in people]
[how many people live in {m}|how many inhabitants {n} has|how large {n} is, in people]
[How many people live in {m}|How many inhabitants has {n}|How many live there, in {m}]?
The population of {n} is {t.people}.
= product
[product|best-known product|main product|speciality]
[what {n} makes|what {n} is known for|what {n} is famous for|what {n} is proud of making|what
  people buy in {m}|what {n} sells|which present one brings from {m}]
[What does {n} make|What is made in {m}|What is {n} known for|What should I buy in {m}|{n} makes
  something good. What is it]?
The product of {n} is {t.product}.
= festival
[festival|feast|yearly festival|celebration]
[which festival {n} celebrates|what the festival in {m} is called|what {n} celebrates|the name of
  the festival in {m}|what they call the yearly feast in {m}]
[Which festival does {n} have|What do they celebrate in {m}|What is {ns} festival called|What is
  the name of the feast in {m}|Which celebration does {n} have|They celebrate in {m} every year.
  What do they call it]?
The festival of {n} is the {t.festival}.
= festival month
[festival month|month of the celebration|time of the festival]
[when {n} has its festival|in which month {n} celebrates its festival]
[When is the festival in {m}|In which month does {n} celebrate|When does {n} hold its festival]?
The festival month of {n} is {t.month}.
= landmark
[landmark|sight|most famous sight|best sight]
[what one should see in {m}|what there is to see in {m}|what visitors look at in {m}]
[What should I see in {m}|What sight is there in {m}|What do visitors look at in {m}|I am in {m} for
  a day. What is there to see]?
The landmark of {n} is {t.landmark}.
"""), "creature": topics("""
= kind
[kind|class|sort of animal|family of animals]
[what {n} is|what kind of animal {n} is|what sort of creature {n} is|what {c.s} are]
[What is {n}|What kind of animal is {n}|What sort of creature is {n}|What are {c.s}|What is a {c}]?
The kind of {n} is that of a {c.kind}.
= region
[region|home region|country]
[where {n} lives|in which region {n} lives|where one finds {m}|where {c.s} live]
[Where does {n} live|In which region is {n} found|Which region is {ns} home|Where could I meet a
  {c}|In which region do {c.s} live]?
The region of {n} is {c.region}.
= size
[length|size|length in centimetres]
[how long {n} is|how big {n} gets|how many centimetres {n} measures|how long {c.s} are]
[How long is {n}|How big is {n}|How many centimetres long is {n}|How long do {c.s} get|How long
  would a {c} be]?
The length of {n} is {c.size} centimetres.
= habitat
[habitat|surroundings|living place]
[in what kind of place {n} lives|what {ns} habitat is|in which surroundings {n} lives|what
  landscape {c.s} like]
[In what kind of place does {n} live|Where does {n} make its home|What landscape suits {m}|In what
  kind of place should I look for a {c}|In which landscape do {c.s}
  live|In what surroundings is {n} at home]?
The habitat of {n} is {c.habitat}.
= diet
[food|diet|usual food|main food]
[what {n} eats|what {n} feeds on|what {ns} food is|what {c.s} eat]
[What does {n} eat|What does {n} feed on|What can I feed to {m}|What does {n} look for when it is
  hungry|What do {c.s} eat|What would a {c} eat|A {c} wants to eat. What does it look
  for]?
The food of {n} is {c.diet}.
= habit
[habit|behaviour|strangest habit]
[what {n} does|how {n} behaves|what is special about {m}|what one sees {c.s} do]
[What does {n} do|How does {n} behave|What is special about {m}|What would I see {m} do|What do
  {c.s} do|What is a {c} up to|There is a {c}. What does it do]?
The habit of {n} is that it {c.habit}.
= young
[number of young|size of family|number of little ones]
[how many young {n} has|how many little ones {n} raises|how many young {c.s} have]
[How many young does {n} have|How many little ones does {n} raise|How many young do {c.s} have|How
  many young has a {c}]?
The number of young of {n} is {c.count}.
= month
[month for young|breeding month|month of the little ones]
[when {n} has its young|in which month {n} has young|when {c.s} have young]
[When does {n} have young|In which month are {ns} young born|When do {ns} young come|In which month
  do {c.s} have young|When would a {c} have little ones]?
The month for young of {n} is {c.month}.
"""), "book": topics("""
= author
[author|writer|maker]
[who wrote {m}|who the author of {m} is|by whom {n} was written]
[Who wrote {m}|Who is the author of {m}|By whom was {n} written|Whose book is {n}|I have {n} here.
  Who wrote it]?
The author of {n} is {b.author}.
= year
[year|publication year|printing year|date]
[when {n} appeared|in which year {n} was printed|when {n} was published]
[When did {n} appear|When was {n} published|In which year was {n} printed]?
The year of {n} is {b.year}.
= genre
[genre|kind of text|type of text|literary kind]
[what kind of book {n} is|to which genre {n} belongs|what {n} is]
[What kind of book is {n}|What sort of text is {n}|Which genre is {n}|I have {n} here. What kind of
  book is it]?
The genre of {n} is {b.genre}.
"""), "dish": topics("""
= town
[town|home|place of origin|home town]
[where {n} comes from|in which town {n} was invented|which town {n} comes from]
[Where does {n} come from|Which town does {n} come from|Where was {n} invented]?
The town of {n} is {d.town}.
= main
[main ingredients|ingredients|contents]
[what {n} is made of|what goes into {m}|what one needs for {m}]
[What is {n} made of|What goes into {m}|What is in {m}|Which two things are most of {m}]?
The ingredients of {n} are {d.main}.
= spice
[spice|seasoning|flavouring]
[how {n} is seasoned|which spice goes into {m}|what spice is in {m}|which spice keeps {m} from
  being bland]
[Which spice goes into {m}|What is {n} seasoned with|What spice is in {m}|Which spice must I not
  forget in {m}|{n} tastes of nothing. Which spice is missing]?
The spice of {n} is {d.spice}.
= taste
[taste|flavour]
[how {n} tastes|what {n} tastes like|what {n} is like to eat|what the tongue says to {m}]
[How does {n} taste|What does {n} taste like|What is it like to eat {m}|What would my tongue say to
  {m}]?
The taste of {n} is {d.taste}.
= season
[season|time of year]
[in which season people eat {m}|what {ns} season is]
[In which season is {n} eaten|Which season is best for {m}|At what time of year is {n} eaten]?
The season of {n} is {d.season}.
= occasion
[occasion|usual occasion]
[on what occasion people eat {m}|at what occasion {n} is served|when custom wants {m} on the
  table|when it is usual to eat {m}]
[On what occasion is {n} eaten|For what occasion does one cook {m}|On which occasions do people
  have {m}|When do people eat {m}, by custom|At what times would I be
  given {m}]?
The occasion to eat {n} is {d.when}.
= minutes
[cooking time|time on the fire|cooking time in minutes]
[how long {n} takes|how many minutes {n} needs|how long one must cook {m}]
[How long does {n} take|How many minutes does {n} need|How long do I cook {m}]?
The cooking time of {n} is {d.minutes} minutes.
"""), "river": topics("""
= region
[home region|country]
[through which region {n} flows|where {n} flows|in which region {n} is]
[Where does {n} flow|Through which region does {n} flow|In which region is {n}]?
The region of {n} is {r.region}.
= length
[length|length in kilometres|size]
[how long {n} is|how many kilometres {n} flows|what length {n} has]
[How long is {n}|How many kilometres long is {n}|What length does {n} have]?
The length of {n} is {r.length} kilometres.
""")}

# {x} is "the birthplace of Mara Holm".
OF_NAMES = rows("""
What is {x}?
What was {x}?
What's {x}?
{x}?
{x}, please.
Give me {x}.
Please give me {x}.
State {x}.
Please state {x}.
Tell me {x}.
Please tell me {x}.
Name {x}.
Please name {x}.
I need {x}.
I need to know {x}.
I need {x}, please.
I am looking for {x}.
I would like to know {x}.
I'd like to know {x}, please.
I was wondering about {x}.
I was asked for {x}. Can you help?
Can you give me {x}?
Could you tell me {x}?
Could you please name {x}?
Would you tell me {x}, please?
Do you know {x}?
Do you happen to know {x}?
Write down {x}.
Remind me of {x}.
I have forgotten {x}.
Help me with {x}.
Let me know {x}.
Hello! What is {x}?
Hi, I need {x}.
For a quiz: {x}?
For my homework I need {x}.
One question: what is {x}?
Question about {m}: what is {x}?
It is about {m}. I want to know {x}.
My {kin} asked me for {x}.
We are arguing about {x}. Which is it?
Find {x} for me.
I want {x}. Say it in a sentence.
Fill in the gap: {x} is what?
""")
# {x} is "where Mara Holm was born".
OF_CLAUSES = rows("""
Tell me {x}.
Please tell me {x}.
Can you tell me {x}?
Could you tell me {x}, please?
Would you mind telling me {x}?
Do you know {x}?
Do you happen to know {x}?
Do you remember {x}?
I was wondering {x}.
I wonder {x}.
I want to know {x}.
I would like to know {x}.
I'd love to hear {x}.
I need to know {x}.
I forgot {x}. Help me.
I have no idea {x}. Do you?
I am trying to find out {x}.
Say {x}.
Please say {x}.
Remind me {x}.
Let me know {x}.
Let me know {x}, please.
Any idea {x}?
Hello! Could you say {x}?
Good evening. May I ask {x}?
May I ask {x}?
My {kin} asked me {x}.
A {folk} wants to know {x}.
For a school talk I have to know {x}.
It would help me to know {x}.
Write down {x}.
Explain {x}.
We are talking about {m}. Do you know {x}?
""")
# {x} is a question.
OF_QUESTIONS = rows("""
{x}
{x}
{x}
{x}
{x} Thank you!
{x} Please answer in a sentence.
Hello! {x}
Hi. {x}
Good morning! {x}
Quick question: {x}
I have a question. {x}
Tell me: {x}
Please help me: {x}
Excuse me. {x}
For a quiz: {x}
Another thing. {x}
I am writing about {m}. {x}
I read about {m} today. {x}
We spoke of {m}. {x}
Somebody asked me: {x}
""")
# {l} is "birthplace".
TERSE = rows("""
{m}, {l}?
{m}: {l}?
{m} - {l}?
{m}: {l}
{m} {l}
{m} {l}?
{m}, {l}, please.
{l} of {m}
{l} of {m}?
{l}: {m}
{l}, {m}?
{l} for {m}?
About {m}: the {l}?
{m}. What {l}?
""")
# In a later question; {l} is "birthplace", {x} a question with a pronoun.
THEN = rows("""
And {ns} {l}?
What about {ns} {l}?
And what was {ns} {l}?
{ns} {l}?
Do you know {ns} {l}, too?
Now {ns} {l}, please.
I also need {ns} {l}.
And {x}
And {x}
{x}
{x}
Thanks. {x}
Good. And {x}
Interesting! {x}
I see. {x}
""")
# After a question about another: {m} is a name.
SAME = rows("""
And {m}?
What about {m}?
How about {m}?
The same for {m}, please.
The same for {m}?
And now for {m}.
And {m}, please?
And for {m}?
Now tell me the same about {m}.
I would like to know the same about {m}.
""")
