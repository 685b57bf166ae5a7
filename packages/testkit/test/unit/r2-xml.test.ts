import { describe, expect, test } from 'vitest'
import { element, xmlDocument } from '../../src/r2-xml.ts'
import { childText, parseXml } from '../../src/r2-xml-parser.ts'

describe('a request body', () => {
  test('is read with declaration, namespace, attributes, entities and empty elements', () => {
    const root = parseXml(
      '\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
        '<Object a="1"><Key>a &amp; b &lt;c&gt; &#252;&#x1F3DD;</Key><Empty/></Object></Delete>\n',
    )
    expect(root.name).toBe('Delete')
    expect(root.children[0]?.children.map(({ name }) => name)).toEqual(['Key', 'Empty'])
    expect(childText(root.children[0] ?? root, 'Key')).toBe('a & b <c> ü🏝')
  })

  test('gives back every text that was written', () => {
    const text = 'a\u0001\t\n\r "\'<>&;&amp; \u{1F3DD}\uFFFE end'
    expect(parseXml(xmlDocument(element('A', text))).text).toBe(text)
  })

  const bomb = `<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "${'&a;'.repeat(50)}">]><Delete>&b;</Delete>`
  test.each([
    ['a document type', bomb],
    ['an external entity', '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>'],
    ['an unknown entity', '<Delete>&x;</Delete>'],
    ['a lone ampersand', '<Delete>a & b</Delete>'],
    ['a surrogate as number', '<Delete>&#xD800;</Delete>'],
    ['NUL as number', '<Delete>&#0;</Delete>'],
    ['a number beyond Unicode', '<Delete>&#x110000;</Delete>'],
    ['a name that objects inherit', '<Delete>&constructor;</Delete>'],
    ['CDATA', '<Delete><![CDATA[x]]></Delete>'],
    ['a comment', '<Delete><!-- x --></Delete>'],
    ['a second declaration', '<Delete><?xml version="1.0"?></Delete>'],
    ['no root', ''],
    ['only text', 'hello'],
    ['two roots', '<A></A><B></B>'],
    ['text after the root', '<A></A>x'],
    ['an open element', '<A><B></A>'],
    ['an end too many', '<A></A></A>'],
    ['an unfinished tag', '<A><B'],
    ['deep nesting', `${'<A>'.repeat(1000)}${'</A>'.repeat(1000)}`],
  ])('with %s is refused', (_, source) => {
    expect(() => parseXml(source)).toThrow(/not well-formed/)
  })

  test.each([
    ['open tags', '<'.repeat(1_000_000)],
    ['long tags', `<A ${'a '.repeat(500_000)}`],
    ['ampersands', `<A>${'&'.repeat(1_000_000)}</A>`],
    ['spaces in a tag', `<A${' '.repeat(1_000_000)}<`],
  ])('of a megabyte of %s is refused', (_, source) => {
    expect(() => parseXml(source)).toThrow(/not well-formed/)
  })
})
