"""The GraphQL documents that pulls and the watchdog send, and how large their answers may become."""

from __future__ import annotations

_MONEY = "{ shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }"
_TAX_LINES = f"taxLines {{ title rate priceSet {_MONEY} }}"
_DISCOUNTS = (
    f"discountAllocations {{ allocatedAmountSet {_MONEY} discountApplication {{ __typename "
    "... on DiscountCodeApplication { code } ... on AutomaticDiscountApplication { title } "
    "... on ManualDiscountApplication { title } ... on ScriptDiscountApplication { title } } }"
)
_ITEM = (
    f"id sku name title quantity currentQuantity isGiftCard variant {{ id }} product {{ id }} "
    f"originalUnitPriceSet {_MONEY} {_DISCOUNTS} {_TAX_LINES} duties {{ id price {_MONEY} {_TAX_LINES} }}"
)
_TRANSACTION = f"id kind status gateway test processedAt createdAt location {{ id }} amountSet {_MONEY}"

_SENT = "nodes { id quantity lineItem { id sku variant { id } product { id } } } pageInfo { hasNextPage endCursor }"
_BACK = (
    f"nodes {{ id quantity restockType subtotalSet {_MONEY} totalTaxSet {_MONEY} lineItem {{ {_ITEM} }} }} "
    "pageInfo { hasNextPage endCursor }"
)

ORDER_FIELDS = f"""
id name createdAt processedAt updatedAt cancelledAt test sourceName currencyCode presentmentCurrencyCode
displayFinancialStatus taxesIncluded paymentGatewayNames
customer {{ id }} retailLocation {{ id }}
totalPriceSet {_MONEY} subtotalPriceSet {_MONEY} totalTaxSet {_MONEY} totalDiscountsSet {_MONEY}
currentTotalPriceSet {_MONEY} totalOutstandingSet {_MONEY} totalTipReceivedSet {_MONEY}
originalTotalAdditionalFeesSet {_MONEY}
totalCashRoundingAdjustment {{ paymentSet {_MONEY} refundSet {_MONEY} }}
{_TAX_LINES}
shippingLines(first: 5) {{ nodes {{ id title isRemoved originalPriceSet {_MONEY} discountedPriceSet {_MONEY}
  {_DISCOUNTS} {_TAX_LINES} }} }}
transactions(first: 20) {{ {_TRANSACTION} }}
refunds(first: 20) {{ id createdAt
  refundLineItems(first: $items) {{ {_BACK} }}
  refundShippingLines(first: 5) {{ nodes {{ id subtotalAmountSet {_MONEY} taxAmountSet {_MONEY}
    shippingLine {{ id title {_TAX_LINES} }} }} }}
  orderAdjustments(first: 5) {{ nodes {{ id reason amountSet {_MONEY} taxAmountSet {_MONEY} }} }}
  transactions(first: 5) {{ nodes {{ {_TRANSACTION} }} }} }}
fulfillments(first: 20) {{ id status displayStatus createdAt updatedAt location {{ id }}
  trackingInfo(first: 1) {{ company number }}
  fulfillmentLineItems(first: $items) {{ {_SENT} }} }}
"""

_ITEMS = f"nodes {{ {_ITEM} }} pageInfo {{ hasNextPage endCursor }}"

ORDERS = f"""query Orders($first: Int!, $after: String, $query: String!, $items: Int!) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{ {ORDER_FIELDS} lineItems(first: $items) {{ {_ITEMS} }} }}
    pageInfo {{ hasNextPage endCursor }} }} }}"""

ORDER_ITEMS = f"""query OrderItems($id: ID!, $after: String!, $items: Int!) {{
  order(id: $id) {{ id lineItems(first: $items, after: $after) {{ {_ITEMS} }} }} }}"""

REFUND_ITEMS = f"""query RefundItems($id: ID!, $after: String!, $items: Int!) {{
  refund(id: $id) {{ id refundLineItems(first: $items, after: $after) {{ {_BACK} }} }} }}"""

FULFILLMENT_ITEMS = f"""query FulfillmentItems($id: ID!, $after: String!, $items: Int!) {{
  fulfillment(id: $id) {{ id fulfillmentLineItems(first: $items, after: $after) {{ {_SENT} }} }} }}"""

PRODUCTS = """query Products($first: Int!, $after: String, $query: String!, $items: Int!) {
  products(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id title productType status createdAt updatedAt
      variants(first: $items) { nodes { id sku barcode title } pageInfo { hasNextPage endCursor } } }
    pageInfo { hasNextPage endCursor } } }"""

PRODUCT_ITEMS = """query ProductItems($id: ID!, $after: String!, $items: Int!) {
  product(id: $id) { id variants(first: $items, after: $after) {
    nodes { id sku barcode title } pageInfo { hasNextPage endCursor } } } }"""

LEVELS = """query Levels($first: Int!, $after: String, $query: String!, $items: Int!) {
  inventoryItems(first: $first, after: $after, query: $query) {
    nodes { id updatedAt inventoryLevels(first: $items) {
      nodes { id updatedAt location { id } item { id } quantities(names: ["available"]) { name quantity } }
      pageInfo { hasNextPage endCursor } } }
    pageInfo { hasNextPage endCursor } } }"""

LEVEL_ITEMS = """query LevelItems($id: ID!, $after: String!, $items: Int!) {
  inventoryItem(id: $id) { id inventoryLevels(first: $items, after: $after) {
    nodes { id updatedAt location { id } item { id } quantities(names: ["available"]) { name quantity } }
    pageInfo { hasNextPage endCursor } } } }"""

SUBSCRIPTIONS = """query Subscriptions($first: Int!, $after: String) {
  webhookSubscriptions(first: $first, after: $after) {
    nodes { id topic uri format } pageInfo { hasNextPage endCursor } } }"""

SUBSCRIBE = """mutation Subscribe($topic: WebhookSubscriptionTopic!, $subscription: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $subscription) {
    webhookSubscription { id topic uri } userErrors { field message } } }"""

REDIRECT = """mutation Redirect($id: ID!, $subscription: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $subscription) {
    webhookSubscription { id topic uri } userErrors { field message } } }"""
