// SPDX-License-Identifier: GPL-2.0-only
/*
 * The few facts of the flattened device tree that a guest of a `virt` machine
 * needs. Assumes two address and two size cells, as QEMU and kvmtool write.
 */
#include "bare.h"

#define FDT_MAGIC	0xd00dfeedu
#define FDT_BEGIN_NODE	1u
#define FDT_END_NODE	2u
#define FDT_PROP	3u
#define FDT_NOP		4u
#define GIC_SPI_BASE	32

struct machine machine;

struct node {
	const char *compatible;
	size_t compatible_length;
	const char *device_type;
	const uint32_t *reg;
	size_t reg_length;
	const uint32_t *interrupts;
};

static uint32_t be32(const uint32_t *cell)
{
	return __builtin_bswap32(*cell);
}

static uint64_t be64(const uint32_t *cell)
{
	return (uint64_t)be32(cell) << 32 | be32(cell + 1);
}

static bool is_compatible(const struct node *node, const char *name)
{
	size_t at = 0;

	while (node->compatible && at < node->compatible_length) {
		const char *entry = node->compatible + at;

		if (same(entry, name))
			return true;
		while (node->compatible[at++])
			;
	}
	return false;
}

static void take_node(const struct node *node, struct machine *out)
{
	if (!node->reg)
		return;
	if (is_compatible(node, "arm,gic-v3") && node->reg_length >= 32) {
		out->gic_version = 3;
		out->gicd = be64(node->reg);
		out->gicc = be64(node->reg + 4);
	} else if (is_compatible(node, "arm,cortex-a15-gic") &&
		   node->reg_length >= 32) {
		out->gic_version = 2;
		out->gicd = be64(node->reg);
		out->gicc = be64(node->reg + 4);
		if (node->reg_length >= 64)
			out->gich = be64(node->reg + 8);
	} else if (is_compatible(node, "arm,pl011") && !out->uart) {
		out->uart = be64(node->reg);
		if (node->interrupts)
			out->uart_intid = be32(node->interrupts + 1) +
					  GIC_SPI_BASE;
	} else if (is_compatible(node, "virtio,mmio") &&
		   be64(node->reg) > out->virtio) {
		/* QEMU takes them from the last one on */
		out->virtio = be64(node->reg);
		if (node->interrupts)
			out->virtio_intid = be32(node->interrupts + 1) +
					    GIC_SPI_BASE;
	} else if (node->device_type && same(node->device_type, "memory")) {
		out->ram_base = be64(node->reg);
		out->ram_size = be64(node->reg + 2);
	} else if (node->device_type && same(node->device_type, "cpu")) {
		if (out->cpus < 2)
			out->mpidr[out->cpus] = node->reg_length == 8 ?
				be64(node->reg) : be32(node->reg);
		out->cpus++;
	}
}

static bool has_word(const char *text, const char *word)
{
	for (;;) {
		size_t length = 0;

		while (word[length] && text[length] == word[length])
			length++;
		if (!word[length] && (!text[length] || text[length] == ' '))
			return true;
		while (*text && *text != ' ')
			text++;
		if (!*text++)
			return false;
	}
}

static void take_property(struct node *node, const char *name,
			  const uint32_t *value, size_t length,
			  struct machine *out)
{
	if (same(name, "compatible")) {
		node->compatible = (const char *)value;
		node->compatible_length = length;
	} else if (same(name, "device_type")) {
		node->device_type = (const char *)value;
	} else if (same(name, "reg")) {
		node->reg = value;
		node->reg_length = length;
	} else if (same(name, "interrupts")) {
		node->interrupts = value;
	} else if (same(name, "bootargs")) {
		out->hvc = has_word((const char *)value, "console=hvc0");
	}
}

/* Fills @out from the tree at @fdt; false if it names no GIC or no UART. */
bool read_machine(const void *fdt, struct machine *out)
{
	const uint32_t *header = fdt;
	const uint32_t *at;
	const char *strings;
	struct node node = { 0 };

	if (!fdt || be32(header) != FDT_MAGIC)
		return false;
	at = (const uint32_t *)((const char *)fdt + be32(header + 2));
	strings = (const char *)fdt + be32(header + 3);
	for (;;) {
		uint32_t token = be32(at++);

		if (token == FDT_PROP) {
			uint32_t length = be32(at);

			take_property(&node, strings + be32(at + 1), at + 2,
				      length, out);
			at += 2 + (length + 3) / 4;
			continue;
		}
		/* properties come before subnodes: the node is complete */
		take_node(&node, out);
		node = (struct node){ 0 };
		if (token == FDT_BEGIN_NODE) {
			const char *name = (const char *)at;
			size_t length = 0;

			while (name[length++])
				;
			at += (length + 3) / 4;
		} else if (token != FDT_END_NODE && token != FDT_NOP) {
			break;
		}
	}
	return out->gic_version && out->uart;
}
