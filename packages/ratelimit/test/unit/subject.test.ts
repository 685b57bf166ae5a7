import { describe, expect, it } from 'vitest'
import { keyForm, subjectForm } from '../../src/subject.ts'

const subjects = [
  'user:1',
  '{a}',
  '}{',
  '#user:1',
  'a b',
  'é',
  'e\u0301',
  '\u0000',
  '\ud800',
  '\ud801',
  'a'.repeat(128),
  'a'.repeat(129),
  'a'.repeat(1_000_000),
]

describe('the form of a subject', () => {
  it('is its own, printable and short in a key, whatever the subject', () => {
    const forms = subjects.map((subject) => keyForm(subjectForm(subject)))
    expect(new Set(forms).size).toBe(subjects.length)
    for (const form of forms) expect(form).toMatch(/^[!-~]{1,128}$/)
    // Nobody can choose the digest of somebody else's name.
    const again = forms.map((form) => keyForm(subjectForm(form)))
    for (const [index, form] of forms.entries()) {
      if (form.startsWith('#')) expect(forms).not.toContain(again[index])
    }
  })

  it('is short within the process, and the subject itself where that is short', () => {
    for (const subject of subjects) expect(subjectForm(subject).length).toBeLessThanOrEqual(128)
    expect(subjectForm('é')).toBe('é')
    expect(() => subjectForm('')).toThrow(/must be a string that is not empty/)
  })
})
