"""The part of Shopify's GraphQL Admin API that a hub uses, as a schema; and what its queries cost."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_schema,
)

from tillwire.connectors.shopify.settings import TOPICS

_CONNECTIONS = (
    "Order",
    "LineItem",
    "ShippingLine",
    "RefundLineItem",
    "RefundShippingLine",
    "OrderAdjustment",
    "OrderTransaction",
    "FulfillmentLineItem",
    "Product",
    "ProductVariant",
    "InventoryItem",
    "InventoryLevel",
    "WebhookSubscription",
)
_SDL = """
scalar DateTime
scalar Decimal
type PageInfo { hasNextPage: Boolean! endCursor: String }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type MoneyBag { shopMoney: MoneyV2! presentmentMoney: MoneyV2! }
type TaxLine { title: String! rate: Float priceSet: MoneyBag! }
interface DiscountApplication { index: Int! }
type DiscountCodeApplication implements DiscountApplication { index: Int! code: String! }
type AutomaticDiscountApplication implements DiscountApplication { index: Int! title: String! }
type ManualDiscountApplication implements DiscountApplication { index: Int! title: String! }
type ScriptDiscountApplication implements DiscountApplication { index: Int! title: String! }
type DiscountAllocation { allocatedAmountSet: MoneyBag! discountApplication: DiscountApplication! }
type Duty { id: ID! price: MoneyBag! taxLines: [TaxLine!]! }
type Customer { id: ID! }
type Location { id: ID! name: String }
type LineItem { id: ID! sku: String name: String! title: String! quantity: Int! currentQuantity: Int!
  isGiftCard: Boolean! variant: ProductVariant product: Product originalUnitPriceSet: MoneyBag!
  discountAllocations: [DiscountAllocation!]! taxLines(first: Int): [TaxLine!]! duties: [Duty!]! }
type ShippingLine { id: ID title: String! isRemoved: Boolean!
  originalPriceSet: MoneyBag! discountedPriceSet: MoneyBag!
  discountAllocations: [DiscountAllocation!]! taxLines: [TaxLine!]! }
type OrderTransaction { id: ID! kind: String! status: String! gateway: String test: Boolean! processedAt: DateTime
  createdAt: DateTime! location: Location amountSet: MoneyBag! }
type RefundLineItem { id: ID quantity: Int! restockType: String! subtotalSet: MoneyBag! totalTaxSet: MoneyBag!
  lineItem: LineItem! }
type RefundShippingLine { id: ID! subtotalAmountSet: MoneyBag! taxAmountSet: MoneyBag! shippingLine: ShippingLine! }
type OrderAdjustment { id: ID! reason: String amountSet: MoneyBag! taxAmountSet: MoneyBag! }
type Refund { id: ID! createdAt: DateTime
  refundLineItems(first: Int, after: String): RefundLineItemConnection!
  refundShippingLines(first: Int, after: String): RefundShippingLineConnection!
  orderAdjustments(first: Int, after: String): OrderAdjustmentConnection!
  transactions(first: Int, after: String): OrderTransactionConnection! }
type FulfillmentLineItem { id: ID! quantity: Int lineItem: LineItem! }
type TrackingInfo { company: String number: String }
type Fulfillment { id: ID! status: String! displayStatus: String createdAt: DateTime! updatedAt: DateTime!
  location: Location trackingInfo(first: Int): [TrackingInfo!]!
  fulfillmentLineItems(first: Int, after: String): FulfillmentLineItemConnection! }
type CashRounding { paymentSet: MoneyBag! refundSet: MoneyBag! }
type Order { id: ID! name: String! createdAt: DateTime! processedAt: DateTime! updatedAt: DateTime! cancelledAt: DateTime
  test: Boolean! sourceName: String currencyCode: String! presentmentCurrencyCode: String! displayFinancialStatus: String
  taxesIncluded: Boolean! paymentGatewayNames: [String!]! customer: Customer retailLocation: Location
  totalPriceSet: MoneyBag! subtotalPriceSet: MoneyBag totalTaxSet: MoneyBag totalDiscountsSet: MoneyBag
  currentTotalPriceSet: MoneyBag! totalOutstandingSet: MoneyBag! totalTipReceivedSet: MoneyBag
  originalTotalAdditionalFeesSet: MoneyBag totalCashRoundingAdjustment: CashRounding taxLines: [TaxLine!]!
  lineItems(first: Int, after: String): LineItemConnection!
  shippingLines(first: Int, after: String): ShippingLineConnection!
  transactions(first: Int): [OrderTransaction!]! refunds(first: Int): [Refund!]!
  fulfillments(first: Int): [Fulfillment!]! }
type ProductVariant { id: ID! sku: String barcode: String title: String! }
type Product { id: ID! title: String! productType: String! status: String! createdAt: DateTime! updatedAt: DateTime!
  variants(first: Int, after: String): ProductVariantConnection! }
type InventoryQuantity { name: String! quantity: Int! }
type InventoryLevel { id: ID! updatedAt: DateTime! location: Location! item: InventoryItem!
  quantities(names: [String!]!): [InventoryQuantity!]! }
type InventoryItem { id: ID! updatedAt: DateTime! inventoryLevels(first: Int, after: String): InventoryLevelConnection! }
enum WebhookSubscriptionTopic { %s }
enum WebhookSubscriptionFormat { JSON XML }
type WebhookSubscription { id: ID! topic: WebhookSubscriptionTopic! uri: String! format: WebhookSubscriptionFormat! }
input WebhookSubscriptionInput { uri: String format: WebhookSubscriptionFormat }
type UserError { field: [String!] message: String! }
type WebhookSubscriptionPayload { webhookSubscription: WebhookSubscription userErrors: [UserError!]! }
enum OrderSortKeys { UPDATED_AT CREATED_AT ID }
enum ProductSortKeys { UPDATED_AT CREATED_AT ID }
type Query {
  orders(first: Int, after: String, query: String, sortKey: OrderSortKeys): OrderConnection!
  products(first: Int, after: String, query: String, sortKey: ProductSortKeys): ProductConnection!
  inventoryItems(first: Int, after: String, query: String): InventoryItemConnection!
  webhookSubscriptions(first: Int, after: String): WebhookSubscriptionConnection!
  order(id: ID!): Order product(id: ID!): Product inventoryItem(id: ID!): InventoryItem refund(id: ID!): Refund
  fulfillment(id: ID!): Fulfillment }
type Mutation {
  webhookSubscriptionCreate(topic: WebhookSubscriptionTopic!, webhookSubscription: WebhookSubscriptionInput!): WebhookSubscriptionPayload
  webhookSubscriptionUpdate(id: ID!, webhookSubscription: WebhookSubscriptionInput!): WebhookSubscriptionPayload }
"""  # noqa: E501  the schema's own layout


def schema() -> GraphQLSchema:
    """The schema; lists answer connections page by page."""
    topics = " ".join(topic.replace("/", "_").upper() for topic in TOPICS)
    text = _SDL % topics + "\n".join(
        f"type {name}Connection {{ nodes: [{name}!]! pageInfo: PageInfo! }}" for name in _CONNECTIONS
    )
    return build_schema(text)


def resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """A field of a dict; a list behind a connection is cut into its page (the cursor is a position)."""
    value = source.get(info.field_name) if isinstance(source, Mapping) else getattr(source, info.field_name, None)
    if callable(value):
        value = value(**arguments)
    kind = info.return_type
    inner = getattr(kind, "of_type", kind)
    if isinstance(inner, GraphQLObjectType) and inner.name.endswith("Connection"):
        return page(value or [], arguments.get("first"), arguments.get("after"))
    if isinstance(value, list) and isinstance(arguments.get("first"), int):
        return value[: arguments["first"]]
    return value


def page(items: list[Any], first: int | None, after: str | None) -> dict[str, Any]:
    """One page of a connection."""
    start = int(after) if after else 0
    end = start + (first or 50)
    return {
        "nodes": items[start:end],
        "pageInfo": {"hasNextPage": end < len(items), "endCursor": str(min(end, len(items))) if items else None},
    }


def cost_of(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """What a query asks for in points: connections by their size, what they hold in turn; mutations ten."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    total = 0
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode):
            total += _selected(one.selection_set, variables, fragments)
            total += 10 if one.operation.value == "mutation" else 0
    return max(1, total)


def _selected(
    selections: SelectionSetNode | None, variables: Mapping[str, Any], fragments: Mapping[str, FragmentDefinitionNode]
) -> int:
    total = 0
    for node in selections.selections if selections else ():
        if isinstance(node, InlineFragmentNode):
            total += _selected(node.selection_set, variables, fragments)
        elif isinstance(node, FragmentSpreadNode):
            total += _selected(fragments[node.name.value].selection_set, variables, fragments)
        elif isinstance(node, FieldNode):
            inner = _selected(node.selection_set, variables, fragments)
            size = _first(node, variables)
            if size is None:
                total += inner
            else:
                total += 2 + (ceil(size * inner / 4) if inner else ceil(log2(size + 1)))
    return total


def _first(node: FieldNode, variables: Mapping[str, Any]) -> int | None:
    for argument in node.arguments or ():
        if argument.name.value == "first":
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value)
            if isinstance(argument.value, VariableNode):
                return int(variables.get(argument.value.name.value) or 1)
    return None
