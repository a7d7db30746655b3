"""Short texts built in, for measuring curvature when there are no clean samples.

All written for this project, in many tones and from many fields, so that a classifier of any task is asked things it
may have been tuned for: news, reviews, questions, talk, technical notes, stories; glad, sour and neutral. They carry
no labels; the model's own predictions serve (the true Fisher).
"""

from typing import Final

__all__ = ["PROBES"]

NEWS: Final = """
The city council approved a new tram line along the river on Monday.
Shares of the steel maker fell four percent after a weak forecast.
Rescue teams reached the last of the stranded hikers before dawn.
A late goal sent the home side through to the quarter finals.
The central bank left interest rates unchanged for a third month.
Farmers in the valley fear that another dry summer will ruin the harvest.
Engineers have found a crack in the main support of the old bridge.
The airline will add direct flights to three coastal towns next year.
Voters rejected the plan to merge the two school districts.
An unknown painter's portrait sold for more than two million at auction.
Police are looking for witnesses to Friday's burglary at the museum.
The satellite sent back its first pictures of the polar ice.
Health officials warn that the flu season may start early.
The champion withdrew from the tournament with an injured knee.
Two rival phone makers settled their dispute over patents.
Heavy snow closed the mountain pass for the second weekend running.
The film festival opens tonight with a comedy from Iceland.
Unions and management will meet again to discuss the night shifts.
A court ordered the landlord to repay three years of deposits.
The start-up plans to double its staff and open an office in Lisbon.
Scientists have mapped the genome of a rare desert fox.
The minister resigned hours after the report was published.
Prices for used cars rose again, though more slowly than in spring.
The rookie broke the club's scoring record in only her ninth match.
Exports of timber dropped sharply when the port was on strike.
The library reopens this week after two years of repairs.
Oil traders shrugged off the storm in the gulf.
The company recalled forty thousand heaters over a faulty switch.
A volunteer group planted nine hundred oaks along the motorway.
The ceasefire held through its first night, observers said.
The orchestra has named its first female chief conductor.
Regulators are examining how the app stores the location of children.
The old cinema on Market Street will become a climbing hall.
Turnout in the local election was the lowest since the war.
"""

REVIEWS: Final = """
I laughed from the first scene to the last.
The plot makes no sense, and the acting is worse.
Good sound, poor battery, average price.
Best noodles I have eaten outside my grandmother's kitchen.
Two stars, and one of them is for the waiter.
It does what the box says and nothing more.
A slow start, yet the last fifty pages broke my heart.
Never buying from this brand again.
The hotel was spotless and the staff remembered our names.
Our room smelled of smoke and the window would not close.
A brave, tender little film about fathers and trains.
The sequel repeats every mistake of the original.
My daughter has worn these boots all winter and they still look new.
The zip broke on the second day.
You will either adore this album or switch it off after a minute.
Solid entertainment for a rainy Sunday.
The jokes are stale and the songs go on forever.
Surprisingly comfortable for such a small car.
The instructions might as well have been in Martian.
Worth it for the view alone.
The lead gives the performance of her career in a film that does not deserve her.
Coffee was cold, cake was dry, and the music was far too loud.
I wanted to hate it, but the twist caught me completely off guard.
It is not a bad blender, only a noisy one.
Three hours of my life that I will never get back.
The cheapest tent we own is also the one that has never leaked.
Charming, if a bit too sweet for my taste.
They replaced the cracked cup without a single question.
A masterpiece of tension told in just four rooms.
The app crashes whenever I rotate the screen.
We have been coming here for ten years and it keeps getting better.
Beautiful pictures, empty story.
The mattress is firmer than advertised, which suits me fine.
Avoid the fish.
"""

QUESTIONS: Final = """
Where can I renew my passport if I live abroad?
How many moons does Jupiter have?
What is the difference between a viola and a violin?
Can you freeze bread that has already been toasted?
Who wrote the first dictionary of the English language?
Why do cats purr when they are hurt?
Is it cheaper to fly on a Tuesday?
What year did the Berlin Wall come down?
How do I remove a stripped screw from hard wood?
Which river flows through the most countries?
Does anyone know a quiet place to study near the station?
What should I wear to an interview at a bank?
How long does it take to learn to swim as an adult?
Why is my internet slower in the evening?
Are tomatoes a fruit or a vegetable?
What happens to my pension if I change employers?
How tall was the tallest tree ever measured?
Could a person survive on potatoes alone?
When is the best time of year to prune roses?
What does the word serendipity mean?
How do airplanes stay in the air upside down?
Which is healthier, butter or margarine?
Did the Romans use umbrellas?
How can I tell whether a melon is ripe?
What language is spoken in Brazil?
Why do we yawn when others do?
Is there a limit to how much cash I may carry across the border?
How do I politely decline a wedding invitation?
What is the boiling point of water on a high mountain?
Who is responsible for the fence between two gardens?
Should I learn the guitar or the piano first?
What is the fastest way to get to the airport on a Sunday?
Is a whale a fish?
"""

TALK: Final = """
Sorry, I am running ten minutes late.
Happy birthday, old friend, and many more to come!
Could you pick up some milk on the way home?
No way, you are kidding me.
I am so proud of you for finishing that course.
Please stop calling this number.
Thanks for listening yesterday, it really helped.
Honestly, I could not care less.
See you at the usual place at eight.
That is the third time he has forgotten my name.
I miss the smell of the sea.
Let us agree to disagree and order dessert.
My phone died, so I could not answer.
You were right and I was wrong.
This queue is not moving at all.
I have a bad feeling about tomorrow's meeting.
Guess who just got the job!
Leave me alone, I mean it.
It is fine, do not worry about the vase.
We should do this more often.
Can I get a window seat, please?
I told you so.
Nobody told me the party was fancy dress.
Sleep well and dream of something nice.
You cannot park here after six.
I think I left the oven on.
What a gorgeous morning!
He is always so rude to the cashier.
Sure, whatever you say.
Take the second left after the church.
I am allergic to nuts, is that a problem?
Mum says dinner is ready.
Good luck with the exam, not that you need it.
"""

TECHNICAL: Final = """
Restart the router and wait until the green light is steady.
The function returns an empty list when no match is found.
Tighten the bolts crosswise to a torque of ninety newton metres.
Store the reagent below eight degrees and away from light.
The update fixes a memory leak in the print service.
A transformer changes the voltage of an alternating current.
Back up your photos before you reset the device.
The sample size was too small to detect a difference.
Sort the records by date before you merge the two tables.
Do not mix bleach with cleaners that contain ammonia.
The patient was given two hundred milligrams twice a day.
Green plants turn light, water and carbon dioxide into sugar.
The lease ends automatically unless either party renews it in writing.
Our tests fail on Windows because of the path separator.
Preheat the oven and line a tray with paper.
The enzyme loses its activity above sixty degrees.
Insurance does not cover damage caused by rising ground water.
Each packet carries a checksum so that errors can be found.
The beam deflects by a tenth of its thickness under full load.
Press and hold both buttons until the screen flashes.
Inflation is measured with a basket of ordinary goods.
The cache is cleared every night at two.
Granite forms when magma cools slowly under the surface.
The contractor shall remove all debris within seven days.
A prime number has exactly two divisors.
The left rear sensor reports values outside its range.
Refunds are paid to the card that was used for the purchase.
Sound travels faster in water than in air.
Sand the surface lightly between two coats of varnish.
The password must contain a digit and a capital letter.
The trial was stopped early because the drug worked so well.
Rotate the crops every year to keep the soil healthy.
Version two of the protocol is no longer supported.
"""

STORIES: Final = """
The old man fed the pigeons and never looked up.
She opened the letter, read one line, and sat down on the stairs.
Rain had washed the chalk from the pavement by morning.
Nobody in the village remembered who had built the tower.
He counted the coins twice and found one too many.
The dog waited at the gate long after the bus had gone.
A single lamp burned in the window across the yard.
They danced until the band had packed up the last drum.
My uncle claimed to have met a bear and apologised to it.
The train slowed, shuddered, and stopped in the middle of a field.
Her hands smelled of oranges and engine oil.
On the third day the wind changed and so did our luck.
The boy lied so well that he came to believe it himself.
Somewhere below, a door slammed and the music died.
We buried the box under the pear tree and swore to forget it.
The captain laughed, but his eyes were on the clouds.
She had painted the same hill every autumn for forty years.
Two strangers shared an umbrella and a long silence.
The clock struck thirteen and nobody seemed surprised.
He kept her number in his wallet until the ink had faded.
The sea gave back the boat but not the men.
Grandmother hid sweets in the piano and denied it to the end.
It was the kind of cold that makes the stars look closer.
The thief left a note of thanks on the kitchen table.
Every morning the baker whistled the same five notes.
I woke to the sound of someone reading aloud in the next room.
The garden grew wild the year the house stood empty.
With a sigh, the giant folded his newspaper and began to cry.
They named the kitten after the storm that had brought it.
The bride arrived on a bicycle, muddy and radiant.
No one clapped when the curtain fell.
He had waited ten years to say it, and now the words would not come.
Beyond the last house the road simply ended.
"""

PROBES: Final[tuple[str, ...]] = tuple(
    line for field in (NEWS, REVIEWS, QUESTIONS, TALK, TECHNICAL, STORIES) for line in field.strip().splitlines()
)
"""Two hundred texts, in a fixed order."""
