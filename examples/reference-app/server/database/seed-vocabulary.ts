import type { EmploymentType, Island, Trade } from '../../contract/job-words.ts'

/** Islands with their settlements, the busiest first: the seed draws with a heavy tail. */
export const PLACES: readonly { readonly island: Island; readonly places: readonly string[] }[] = [
  {
    island: 'New Providence',
    places: ['Nassau', 'Cable Beach', 'Paradise Island', 'Lyford Cay', 'Fox Hill'],
  },
  { island: 'Grand Bahama', places: ['Freeport', 'Lucaya', 'West End', 'Eight Mile Rock'] },
  { island: 'Abaco', places: ['Marsh Harbour', 'Hope Town', 'Treasure Cay', 'Green Turtle Cay'] },
  { island: 'Exuma', places: ['George Town', 'Staniel Cay', 'Rolleville'] },
  { island: 'Eleuthera', places: ["Governor's Harbour", 'Harbour Island', 'Rock Sound', 'Spanish Wells'] },
  { island: 'Andros', places: ['Andros Town', 'Nicholls Town', 'Congo Town'] },
  { island: 'Bimini', places: ['Alice Town', 'Bailey Town'] },
  { island: 'Long Island', places: ['Clarence Town', 'Deadman’s Cay'] },
  { island: 'San Salvador', places: ['Cockburn Town'] },
  { island: 'Cat Island', places: ["Arthur's Town", 'New Bight'] },
]

export interface Occupation {
  readonly trade: Trade
  readonly titles: readonly string[]
  /** Whole B$ a year: the range that offers start in. */
  readonly pay: readonly [number, number]
  readonly duties: readonly string[]
  readonly asks: readonly string[]
  readonly types: readonly EmploymentType[]
  readonly remote?: boolean
}

export const OCCUPATIONS: readonly Occupation[] = [
  {
    trade: 'Hospitality',
    titles: [
      'Sous Chef',
      'Pastry Chef',
      'Front Desk Agent',
      'Restaurant Manager',
      'Bartender',
      'Housekeeping Supervisor',
      'Line Cook',
    ],
    pay: [18_000, 52_000],
    duties: [
      'run the evening service for up to 120 covers',
      'greet guests by name and solve what they bring you',
      'keep stock, order from local fishers and growers',
      'train two juniors through the season',
    ],
    asks: [
      'three years in a busy hotel or restaurant',
      'a food handler’s certificate',
      'calm when the dining room is full',
    ],
    types: ['full-time', 'part-time', 'seasonal'],
  },
  {
    trade: 'Marine',
    titles: [
      'Marine Engineer',
      'Boat Captain',
      'Deckhand',
      'Marina Manager',
      'Outboard Mechanic',
      'Dockmaster',
    ],
    pay: [24_000, 78_000],
    duties: [
      'maintain twin diesel engines across a fleet of nine',
      'plan fuel and crew for charters to the out islands',
      'keep logs the port department can read',
      'bring boats in before the weather turns',
    ],
    asks: [
      'a class A licence or the sea time for it',
      'hands that know a wiring loom',
      'swimming well and sleeping lightly',
    ],
    types: ['full-time', 'contract', 'seasonal'],
  },
  {
    trade: 'Tourism',
    titles: [
      'Dive Guide',
      'Dive Instructor',
      'Fishing Guide',
      'Tour Coordinator',
      'Kayak Guide',
      'Events Planner',
    ],
    pay: [20_000, 48_000],
    duties: [
      'lead four dives a week on the wall',
      'brief guests so that nobody is surprised under water',
      'take bonefishers across the flats at the right tide',
      'keep gear rinsed, checked and logged',
    ],
    asks: [
      'a divemaster card and 200 logged dives',
      'a first-aid certificate in date',
      'stories worth the boat ride',
    ],
    types: ['full-time', 'seasonal', 'contract'],
  },
  {
    trade: 'Health',
    titles: [
      'Registered Nurse',
      'Community Nurse',
      'Pharmacist',
      'Physiotherapist',
      'Dental Hygienist',
      'Paramedic',
    ],
    pay: [30_000, 74_000],
    duties: [
      'care for a ward of fourteen on a three-shift rota',
      'run the weekly clinic on the cay',
      'prepare emergency transfers by air to Nassau',
      'keep records that the next shift can rely on',
    ],
    asks: [
      'registration with the Nursing Council or the like',
      'two years on a general ward',
      'patience, and a way with frightened people',
    ],
    types: ['full-time', 'part-time', 'contract'],
  },
  {
    trade: 'Construction',
    titles: ['Carpenter', 'Electrician', 'Site Foreman', 'Mason', 'Plumber', 'Quantity Surveyor'],
    pay: [22_000, 66_000],
    duties: [
      'rebuild roofs to the hurricane code',
      'wire a boutique hotel of twenty rooms',
      'read drawings and say early when they are wrong',
      'keep a crew of eight safe and on time',
    ],
    asks: [
      'a trade certificate or a long list of finished houses',
      'your own hand tools',
      'respect for the building inspector',
    ],
    types: ['full-time', 'contract'],
  },
  {
    trade: 'Finance',
    titles: [
      'Accountant',
      'Compliance Officer',
      'Trust Administrator',
      'Internal Auditor',
      'Payroll Clerk',
      'Bank Teller',
    ],
    pay: [28_000, 92_000],
    duties: [
      'close the books by the fifth working day',
      'prepare VAT returns and answer what the department asks',
      'review new clients against the rules and your judgement',
      'explain figures to people who do not like figures',
    ],
    asks: ['ACCA, CPA or well on the way', 'a working knowledge of Bahamian VAT', 'discretion'],
    types: ['full-time', 'part-time'],
    remote: true,
  },
  {
    trade: 'Education',
    titles: [
      'Primary Teacher',
      'Mathematics Teacher',
      'School Counsellor',
      'Early Years Assistant',
      'Science Teacher',
    ],
    pay: [24_000, 50_000],
    duties: [
      'teach a class of twenty-two',
      'prepare pupils for the BGCSE',
      'run the sailing club on Fridays',
      'meet parents where they are',
    ],
    asks: ['a teacher’s certificate', 'a subject you love', 'the stamina for week six'],
    types: ['full-time', 'part-time'],
  },
  {
    trade: 'Technology',
    titles: [
      'Network Technician',
      'Software Developer',
      'Support Engineer',
      'Data Analyst',
      'Systems Administrator',
    ],
    pay: [32_000, 96_000],
    duties: [
      'keep four islands connected through hurricane season',
      'build the booking system that the front desk likes',
      'answer tickets in words that help',
      'watch over backups and prove that they restore',
    ],
    asks: [
      'some years of doing this for real',
      'Linux, SQL and a steady hand',
      'writing that others can follow',
    ],
    types: ['full-time', 'contract', 'part-time'],
    remote: true,
  },
  {
    trade: 'Transport',
    titles: ['Bus Driver', 'Ferry Mate', 'Aircraft Mechanic', 'Dispatcher', 'Delivery Driver', 'Ramp Agent'],
    pay: [18_000, 70_000],
    duties: [
      'keep the morning run on time',
      'load the mail boat so that it sails level',
      'inspect aircraft between island hops',
      'tell passengers the truth about delays',
    ],
    asks: ['a clean licence of the right class', 'an early riser’s habits', 'a head for checklists'],
    types: ['full-time', 'part-time', 'contract'],
  },
  {
    trade: 'Retail',
    titles: ['Store Manager', 'Cashier', 'Buyer', 'Stock Clerk', 'Visual Merchandiser'],
    pay: [16_000, 44_000],
    duties: [
      'open the shop on Bay Street six days a week',
      'order for the cruise calendar, not for last year',
      'count the till and the stock',
      'keep the straw market’s best work on our shelves',
    ],
    asks: ['a year behind a counter', 'good arithmetic', 'a welcome that is meant'],
    types: ['full-time', 'part-time', 'seasonal'],
  },
]

export const COMPANY_FIRST = [
  'Blue Hole',
  'Conch Shell',
  'Sea Grape',
  'Poinciana',
  'Silver Palm',
  'Lignum Vitae',
  'Driftwood',
  'Trade Wind',
  'Sandbank',
  'Flamingo',
  'Tamarind',
  'Coral Stone',
  'Pineapple',
  'Lantern',
  'Yellow Elder',
  'Spinnaker',
] as const
export const COMPANY_LAST = [
  'Resort',
  'Marine Services',
  'Holdings',
  'Clinic',
  'Builders',
  'Academy',
  'Airways',
  'Provisions',
  'Charters',
  'Trust',
  'Hotel Group',
  'Logistics',
  'Divers',
  'Kitchens',
  'Networks',
  'Market',
] as const

export const FIRST_NAMES = [
  'Alice',
  'Tameka',
  'Devon',
  'Shanika',
  'Marcus',
  'Keisha',
  'Leroy',
  'Ronique',
  'Anton',
  'Denise',
  'Garvin',
  'Latoya',
  'Rashad',
  'Simone',
  'Kendrick',
  'Portia',
] as const
export const LAST_NAMES = [
  'Rolle',
  'Ferguson',
  'Knowles',
  'Bethel',
  'Pinder',
  'Albury',
  'Moss',
  'Cartwright',
  'Sawyer',
  'Deveaux',
  'Stubbs',
  'Lightbourne',
  'Smith',
  'Cooper',
  'Bain',
  'Munnings',
] as const

/** What applicants write, whatever the job. */
export const NOTES = [
  'I have done this work for six seasons and can start on the first of the month.',
  'I live ten minutes away and know the place since school.',
  'My last employer closed for good. They will tell you that I was never late.',
  'I am moving home from Florida in spring and would like to stay.',
  'Weekends and evenings suit me. I have my own transport.',
  'Two languages, one clean licence, and references you may call today.',
  'I trained three beginners last year. All of them are still there.',
  'I am new to the trade and learn fast. Give me a week to show it.',
  'I have worked through two hurricane seasons and kept the place running.',
  'You hired my cousin in May. She says it is the best place she has worked.',
  'Ask anybody on the dock. They know my work.',
  'I can start on Monday and stay as long as you need me.',
  'I would like fewer hours than the advert says. Can we talk about it?',
] as const
