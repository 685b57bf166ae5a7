// Apart from the schemas that check them, so that a page which only lists them loads no validator.

export const ISLANDS = [
  'New Providence',
  'Grand Bahama',
  'Abaco',
  'Eleuthera',
  'Exuma',
  'Andros',
  'Bimini',
  'Long Island',
  'Cat Island',
  'San Salvador',
] as const
export const TRADES = [
  'Hospitality',
  'Marine',
  'Health',
  'Construction',
  'Finance',
  'Education',
  'Technology',
  'Transport',
  'Retail',
  'Tourism',
] as const
export const EMPLOYMENT_TYPES = ['full-time', 'part-time', 'contract', 'seasonal'] as const

export type Island = (typeof ISLANDS)[number]
export type Trade = (typeof TRADES)[number]
export type EmploymentType = (typeof EMPLOYMENT_TYPES)[number]
