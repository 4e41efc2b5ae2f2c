// Works with the sandbox through jsforce and prints what it saw as one JSON line.
import jsforce from 'jsforce';

const settings = JSON.parse(process.env.SANDBOX);
const connection = new jsforce.Connection({
    instanceUrl: settings.url,
    version: '65.0',
    oauth2: {
        loginUrl: settings.url,
        clientId: settings.client_id,
        clientSecret: settings.client_secret
    }
});
const user = await connection.authorize({ grant_type: 'client_credentials' });
const seen = { organization: user.organizationId };
const accounts = connection.sobject('Account');

const made = await accounts.create({ Name: "O'Hara" });
seen.created = made.success;
seen.read = (await accounts.retrieve(made.id)).Name;
await accounts.update({ Id: made.id, Phone: '1' });
const first = await accounts.upsert({ Name: 'Up', BC_Customer_Id__c: 'j-1' }, 'BC_Customer_Id__c');
const many = await accounts.create([{ Name: 'a' }, { Phone: '1' }, { Name: 'b' }]);
seen.many = many.map((result) => (result.success ? 'ok' : result.errors[0].statusCode ?? result.errors[0].errorCode));
seen.found = (await accounts.find({ Name: "O'Hara" }, 'Id, Phone')).map((record) => record.Phone);
seen.paged = (
    await connection.query('SELECT Id FROM Account', { autoFetch: true, maxFetch: 1000 })
).records.length;
seen.children = (
    await connection.query('SELECT Id, (SELECT Quantity FROM OrderItems) FROM Order')
).records.map((order) => order.OrderItems.records[0].Quantity);
seen.describes = (await connection.describe('Order')).fields.some((field) => field.name === 'BC_Order_Id__c');
seen.global = (await connection.describeGlobal()).sobjects.length > 5;
seen.versions = (await connection.request('/services/data')).some((each) => each.version === '65.0');
try {
    await accounts.create({});
} catch (error) {
    seen.refusal = error.errorCode;
}
const now = Date.now();
const updated = await accounts.updated(new Date(now - 3600000), new Date(now + 120000));
seen.updated = updated.ids.includes(made.id);
await accounts.destroy(made.id);
const deleted = await accounts.deleted(new Date(now - 3600000), new Date(now + 120000));
seen.deleted = deleted.deletedRecords[0].id === made.id;
const rows = await (await connection.bulk2.query('SELECT Id, TotalAmount FROM Order', { pollInterval: 50, pollTimeout: 5000 })).toArray();
seen.bulk = rows.map((row) => row.TotalAmount);
seen.usage = connection.limitInfo.apiUsage.used > 0;
seen.upserted = first.success;
process.stdout.write(JSON.stringify(seen) + '\n');
